"""The OpenAPI document, completed by what FastAPI cannot know: headers, keys, either-or fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from api_server.middleware import GIVEN_ID, OPEN_PATHS
from api_server.models import ProblemDocument
from api_server.problems import MEDIA_TYPE

Part = dict[str, Any]

PROBLEM: Part = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
"""The content of a refusal, for ``responses``."""

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")

_REQUEST_ID = {"required": True, "schema": {"type": "string", "pattern": f"^{GIVEN_ID}$"}}
_DEGRADED = {"schema": {"enum": ["stt", "agent", "stt,agent"]}}
_RETRY_AFTER = {"schema": {"type": "integer", "minimum": 1}}
_KEY = {"type": "http", "scheme": "bearer"}
_BUSY = {"429", "503"}


class DescribedApp(FastAPI):
    """An application whose description says all that its middleware and checks do."""

    def openapi(self) -> Part:
        """Give the document; it is made once."""
        fresh = self.openapi_schema is None
        document: Part = super().openapi()
        if fresh:
            settings = self.state.service.settings
            _complete(
                document, keys=bool(settings.api_keys), longest=settings.agent_max_timeout_sec
            )
        return document


def _complete(document: Part, *, keys: bool, longest: float) -> None:
    components = document.setdefault("components", {})
    shapes: Part = components.setdefault("schemas", {})
    shapes["ProblemDocument"] = ProblemDocument.model_json_schema()
    if keys:
        components["securitySchemes"] = {"key": _KEY}
    for shape in shapes.values():
        for choice in shape.get("properties", {}).get("timeout", {}).get("anyOf", ()):
            if choice["type"] == "number":
                choice["maximum"] = longest
    for path, operation in _operations(document):
        if keys and path not in OPEN_PATHS:
            operation["security"] = [{"key": []}]
            operation["responses"].setdefault("401", {"description": "No key", "content": PROBLEM})
        _tell_headers(operation)
        if FORMS[0] in operation.get("requestBody", {}).get("content", {}):
            _tell_forms(operation["requestBody"], shapes)


def _operations(document: Part) -> Iterator[tuple[str, Part]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _tell_headers(operation: Part) -> None:
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers["X-Request-ID"] = _REQUEST_ID
        if status in _BUSY:
            headers["Retry-After"] = _RETRY_AFTER
        if "requestBody" in operation and status in {"200", "503"}:
            headers["X-STT-Degraded"] = _DEGRADED


def _present(field: Part) -> Part:
    """Leave out ``null``: a form has no such word."""
    choices = [one for one in field.get("anyOf", ()) if one["type"] != "null"]
    return {**{k: v for k, v in field.items() if k != "anyOf"}, **choices[0]} if choices else field


def _tell_forms(body: Part, shapes: Part) -> None:
    """Say that exactly one of path and upload is sent, and that a form without files will do."""
    body["required"] = True
    name = body["content"][FORMS[0]]["schema"]["$ref"].rpartition("/")[2]
    fields = {key: _present(value) for key, value in shapes[name]["properties"].items()}
    shapes[name]["properties"] = fields
    plain = {key: value for key, value in fields.items() if key != "file"}
    shapes[name]["oneOf"] = [{"required": ["file_path"]}, {"required": ["file"]}]
    shapes[f"{name}_plain"] = {
        "type": "object",
        "title": f"{name}_plain",
        "properties": plain,
        "required": ["file_path"],
    }
    body["content"][FORMS[1]] = {"schema": {"$ref": f"#/components/schemas/{name}_plain"}}
