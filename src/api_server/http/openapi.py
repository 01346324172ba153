"""Complete the OpenAPI document with what FastAPI cannot infer: headers, keys, exclusive fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from api_server.access.roles import OPEN_PATHS
from api_server.http.middleware import REQUEST_ID_PATTERN
from api_server.http.openai.schema import AUDIO_BODIES
from api_server.http.problems import MEDIA_TYPE
from api_server.http.strict import FORMS, JSON
from api_server.models import AnalyzeRequest, ProblemDocument

JsonObject = dict[str, Any]

PROBLEM: JsonObject = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
"""The content of a problem response, for ``responses``."""

ANALYZE_BODY: JsonObject = {
    "required": True,
    "content": {JSON: {"schema": {"$ref": "#/components/schemas/AnalyzeRequest"}}},
}
"""The body of ``POST /analyze``, which the endpoint reads itself."""

_REQUEST_ID = {"required": True, "schema": {"type": "string", "pattern": f"^{REQUEST_ID_PATTERN}$"}}
_DEGRADED = {"schema": {"enum": ["stt", "translation", "agent", "stt,agent", "translation,agent"]}}
_RETRY_AFTER = {"schema": {"type": "integer", "minimum": 1}}
_KEY = {"type": "http", "scheme": "bearer"}
_BUSY = {"429", "503"}


class DescribedApp(FastAPI):
    """A FastAPI application whose OpenAPI document covers its middleware and validators."""

    def openapi(self) -> JsonObject:
        """Return the document, which is built once."""
        fresh = self.openapi_schema is None
        document: JsonObject = super().openapi()
        if fresh:
            settings = self.state.service.settings
            _complete_document(
                document,
                keys=self.state.service.keys.required,
                max_timeout_sec=settings.agent_max_timeout_sec,
            )
        return document


def _complete_document(document: JsonObject, *, keys: bool, max_timeout_sec: float) -> None:
    components = document.setdefault("components", {})
    schemas: JsonObject = components.setdefault("schemas", {})
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
    if "/analyze" in document["paths"]:
        asked = AnalyzeRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(asked.pop("$defs"), AnalyzeRequest=asked)
    if keys:
        components["securitySchemes"] = {"key": _KEY}
    _describe_audio_bodies(document, schemas)
    for schema in schemas.values():
        for choice in schema.get("properties", {}).get("timeout", {}).get("anyOf", ()):
            if choice["type"] == "number":
                choice["maximum"] = max_timeout_sec
    for path, operation in _operations(document):
        if keys and path not in OPEN_PATHS:
            operation["security"] = [{"key": []}]
            for status, words in (("401", "No key"), ("403", "Forbidden")):
                operation["responses"].setdefault(
                    status, {"description": words, "content": PROBLEM}
                )
        _describe_headers(operation, degrades=path not in AUDIO_BODIES)
        if path not in AUDIO_BODIES and _reads_form(operation):
            _describe_forms(operation["requestBody"], schemas)


def _describe_audio_bodies(document: JsonObject, schemas: JsonObject) -> None:
    """Describe the forms that their endpoints read themselves."""
    for path, body in AUDIO_BODIES.items():
        described = document["paths"][path]["post"]
        (content,) = described["requestBody"]["content"].values()
        unread = content["schema"]["$ref"]
        del schemas[unread.rpartition("/")[2]]
        described["requestBody"] = body


def _reads_form(operation: JsonObject) -> bool:
    return FORMS[0] in operation.get("requestBody", {}).get("content", {})


def _operations(document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _describe_headers(operation: JsonObject, *, degrades: bool) -> None:
    for status, response in operation["responses"].items():
        headers = response.setdefault("headers", {})
        headers["X-Request-ID"] = _REQUEST_ID
        if status in _BUSY:
            headers["Retry-After"] = _RETRY_AFTER
        if degrades and "requestBody" in operation and status in {"200", "503"}:
            headers["X-STT-Degraded"] = _DEGRADED


def _drop_null(field: JsonObject) -> JsonObject:
    """Return ``field`` without ``null``, which a form cannot send."""
    choices = [one for one in field.get("anyOf", ()) if one["type"] != "null"]
    return {**{k: v for k, v in field.items() if k != "anyOf"}, **choices[0]} if choices else field


def _describe_forms(body: JsonObject, schemas: JsonObject) -> None:
    """Require exactly one of path and upload; a form without files where none is needed."""
    body["required"] = True
    name = body["content"][FORMS[0]]["schema"]["$ref"].rpartition("/")[2]
    fields = {key: _drop_null(value) for key, value in schemas[name]["properties"].items()}
    for one in fields.values():
        if one.get("type") == "array":
            one["minItems"] = 1
    schemas[name]["properties"] = fields
    schemas[name]["additionalProperties"] = False
    plain = {key: value for key, value in fields.items() if key != "file"}
    inputs = [one for one in ("file_path", "file", "folder") if one in fields]
    schemas[name]["oneOf"] = [{"required": [one]} for one in inputs]
    if inputs == ["file"]:
        return
    schemas[f"{name}_plain"] = {
        "type": "object",
        "title": f"{name}_plain",
        "properties": plain,
        "additionalProperties": False,
        "oneOf": [{"required": [one]} for one in inputs if one != "file"],
    }
    body["content"][FORMS[1]] = {"schema": {"$ref": f"#/components/schemas/{name}_plain"}}
