"""The names, signatures, fields and defaults that SPEC section 2 promises for the API server."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from api_server import app as app_module
from api_server import models
from api_server.app import create_app, transcribe_v2
from api_server.clients import circuit_breaker
from api_server.clients.circuit_breaker import CircuitBreaker
from api_server.models import TranscribeResponse
from api_server.observability import metrics
from api_server.services import agent_backend, validator
from api_server.services.agent_backend import AgentBackend
from api_server.services.validator import get_incomplete_elements_validator
from api_server.settings import Settings
from stt_engine.model_store.store import ensure_model_exists
from tests.support.fault_server import refused_port

REQUIRED = object()


def parameters(function: Callable[..., object]) -> dict[str, object]:
    """Return names and defaults of what may be given by position, in order."""
    return {
        name: REQUIRED if one.default is one.empty else one.default
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is one.POSITIONAL_OR_KEYWORD
    }


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(_env_file=None))  # type: ignore[call-arg]


def test_create_app_gives_an_application_on_port_8003(app: FastAPI) -> None:
    assert isinstance(app, FastAPI)
    assert Settings.model_fields["api_port"].default == 8003


def test_create_app_needs_no_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of this machine
    assert isinstance(create_app(), FastAPI)


def test_transcribe_v2_is_the_endpoint(app: FastAPI) -> None:
    assert inspect.iscoroutinefunction(transcribe_v2)
    assert app.openapi()["paths"]["/transcribe"]["post"]["operationId"].startswith("transcribe_v2")


ORIGINAL_FIELDS: dict[str, object] = {
    "success": REQUIRED,
    "text": REQUIRED,
    "duration": 0.0,
    "language": "ko",
    "error": None,
    "error_type": None,
    "backend": None,
    "is_dummy": False,
    "dummy_reason": None,
    "incomplete_elements": None,
    "agent_analysis": None,
    "agent_type": None,
    "is_agent_dummy": False,
    "agent_dummy_reason": None,
    "is_partial_failure": False,
    "partial_failure_reason": None,
}
ADDED_FIELDS = {
    "text_en",
    "segments_en",
    "request_id",
    "outcome",
    "segments",
    "attempts",
    "provenance",
    "coverage",
    "warnings",
    "timings",
    "processing_time_sec",
    "repair",
}


def test_transcribe_response_has_the_original_fields_and_defaults() -> None:
    fields = TranscribeResponse.model_fields
    found = {
        name: REQUIRED if fields[name].is_required() else fields[name].default
        for name in ORIGINAL_FIELDS
    }
    assert found == ORIGINAL_FIELDS
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in ORIGINAL_FIELDS.items()
    }


def test_transcribe_response_has_the_added_fields_and_no_others() -> None:
    assert set(TranscribeResponse.model_fields) == set(ORIGINAL_FIELDS) | ADDED_FIELDS


def test_a_response_that_says_nothing_claims_nothing() -> None:
    told = TranscribeResponse(success=False, text="").model_dump()
    assert told["outcome"] == "failed"
    assert told["incomplete_elements"] is None


def test_agent_backend_call_signature() -> None:
    assert inspect.iscoroutinefunction(AgentBackend.call)
    found = parameters(AgentBackend.call)
    assert list(found) == [
        "self",
        "request_text",
        "url",
        "request_format",
        "timeout",
        "chat_thread_id",
    ]
    assert [found[name] for name in ("request_text", "url")] == [REQUIRED, REQUIRED]
    assert (found["request_format"], found["chat_thread_id"]) == ("prompt_based", None)
    assert isinstance(found["timeout"], int | float)


async def test_agent_backend_call_keys() -> None:
    backend = AgentBackend()
    told = await backend.call(
        "x",
        f"http://127.0.0.1:{refused_port()}/v1",
        request_format="text_only",
        timeout=5,
        chat_thread_id="thread",
    )
    await backend.aclose()
    assert set(told) == {
        "success",
        "response",
        "agent_type",
        "is_dummy",
        "dummy_reason",
        "error",
        "error_type",
        "processing_time_sec",
        "chat_thread_id",
    }
    assert told["success"] is False
    assert told["response"] == "[DUMMY 응답] 분석을 수행할 수 없습니다."
    assert told["agent_type"] == "dummy"
    assert told["error_type"] == "ConnectionError"


def test_validator_signatures() -> None:
    made = parameters(get_incomplete_elements_validator)
    assert next(iter(made.items())) == ("agent_backend", REQUIRED)
    assert REQUIRED not in list(made.values())[1:]
    made_validator = get_incomplete_elements_validator(AgentBackend())
    assert inspect.iscoroutinefunction(made_validator.validate)
    found = parameters(made_validator.validate)
    assert list(found)[:3] == ["call_transcript", "agent_config", "timeout"]
    assert REQUIRED not in list(found.values())[2:]


async def test_validate_takes_what_the_original_gives() -> None:
    backend = AgentBackend()
    url = f"http://127.0.0.1:{refused_port()}/v1/chat/completions"
    checker = get_incomplete_elements_validator(backend)
    agent = {"url": url, "format": "prompt_based"}
    told = await checker.validate("상담원: 원금은 보장됩니다", agent, 5)
    await backend.aclose()
    assert told["success"] is False
    assert told["is_agent_dummy"] is True
    found = {one["id"]: (one["status"], one["source"]) for one in told["elements"]}
    assert found.pop("solicitation.certainty") == ("violated", "rules")
    assert set(found.values()) == {("undetermined", None)}


def test_circuit_breaker_defaults() -> None:
    breaker = CircuitBreaker()
    assert (breaker.policy.failure_threshold, breaker.policy.recovery_timeout) == (5, 60.0)
    assert list(parameters(CircuitBreaker.__init__))[1:3] == [
        "failure_threshold",
        "recovery_timeout",
    ]
    assert (breaker.is_open, breaker.failure_count) == (False, 0)
    for name in ("call", "force_open", "force_closed", "release", "snapshot"):
        assert callable(getattr(breaker, name))


def test_failure_metrics_attributes() -> None:
    counted = metrics.FailureMetrics()
    for stage in ("stt", "agent"):
        found = [
            getattr(counted, f"{stage}_{what}")
            for what in ("failure_count", "total_count", "failure_rate")
        ]
        assert found == [0, 0, 0.0]
        assert [type(one) for one in found] == [int, int, float]


def test_ensure_model_exists_signature() -> None:
    found = parameters(ensure_model_exists)
    assert found == {"model_name": REQUIRED, "cache_dir": REQUIRED}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (app_module, "create_app"),
        (app_module, "transcribe_v2"),
        (models, "TranscribeResponse"),
        (agent_backend, "AgentBackend"),
        (validator, "get_incomplete_elements_validator"),
        (circuit_breaker, "CircuitBreaker"),
        (metrics, "FailureMetrics"),
    ],
)
def test_public_names_are_documented(module: Any, name: str) -> None:
    assert (getattr(module, name).__doc__ or "").strip()


FORM = {
    "file_path",
    "file",
    "language",
    "incomplete_elements_check",
    "agent_url",
    "agent_request_format",
    "chat_thread_id",
    "timeout",
    "strict",
    "word_timestamps",
    "translate",
    "prompt",
    "keywords",
    "temperature",
    "model",
    "format",
}


def test_openapi_has_every_form_field(app: FastAPI) -> None:
    document = app.openapi()
    operation = document["paths"]["/transcribe"]["post"]
    shape, plain = (
        document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        for content in operation["requestBody"]["content"].values()
    )
    assert set(plain["properties"]) == FORM - {"file"}
    assert set(shape["properties"]) == FORM
    assert not shape.get("required")
    assert shape["properties"]["language"]["default"] == "ko"
    assert shape["properties"]["incomplete_elements_check"]["default"] is False
    assert shape["properties"]["agent_request_format"]["enum"] == ["prompt_based", "text_only"]
    upload = shape["properties"]["file"]
    assert upload["type"] == "string"
    assert upload.get("format") == "binary" or "octet-stream" in str(upload)
    assert {"200", "400", "401", "403", "404", "413", "415", "422", "429", "503"} <= set(
        operation["responses"]
    )


def test_every_endpoint_of_the_contract_is_there(app: FastAPI) -> None:
    found = {
        (method.upper(), path) for path, one in app.openapi()["paths"].items() for method in one
    }
    assert found >= {
        ("POST", "/transcribe"),
        ("POST", "/analyze"),
        ("GET", "/health"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }


@pytest.mark.parametrize("folder", ["models", "logs", "audio"])
def test_folders_that_are_mounted_into_containers_are_in_git(folder: str) -> None:
    assert (Path(__file__).resolve().parents[2] / folder / ".gitkeep").is_file()
