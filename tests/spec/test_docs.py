"""The documents say what the code is: every name is introspected."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer.main
from fastapi.routing import APIRoute
from starlette.routing import Route

from api_server.app import create_app, create_stt_app
from api_server.clients.circuit_policy import TRANSITIONS
from api_server.compliance import result
from api_server.compliance.findings import STATUSES, Reading, Reason
from api_server.http import problems
from api_server.models import (
    AnalyzeResponse,
    CaseList,
    CaseResponse,
    HealthResponse,
    JobList,
    JobResponse,
    ReadyResponse,
    RecognitionResponse,
    TranscribeResponse,
)
from api_server.observability.log_lines import agent, jobs, transcribe, validation
from api_server.observability.metrics import FailureMetrics
from api_server.settings import Settings
from stt_engine import log
from stt_engine.coverage import UnheardReason
from stt_engine.errors import EngineError, all_errors
from stt_engine.events import Stage
from stt_engine.model_store import log_lines as fetch_lines
from stt_engine.recognition import log_lines as stt_lines
from stt_engine.warnings import BARS_ABSENCE, MESSAGES
from stt_tools.cli import program
from stt_tools.reference import DOCUMENTS
from tests.support.documents import ROOT, documents, prose, text

LINE_MODULES = (log, stt_lines, fetch_lines, agent, jobs, transcribe, validation)
"""Where the words of the log are."""

_HANGUL = re.compile("[가-힣]")
_SETTING = re.compile(
    r"\b(?:API|STT|AUDIO|ANALYZE|QUEUE|VLLM|AGENT|CIRCUIT|RUBRIC|READY|LOG|JOBS|RECORDINGS|REVIEW)_[A-Z_]+\b"
)
_FILE = re.compile(r"`((?:src|tests|examples|evaluation|benchmarks|monitoring)/[^\s`*]*)`")
_PROGRAM = re.compile(r"\bpython3? -m ((?:api_server|stt_engine|stt_tools|benchmarks)[\w.]*)")


def assert_documented(names: set[str], *places: str) -> None:
    """Assert that each of ``names`` stands in each of ``places`` as code, or begins a piece."""
    assert names, "nothing was found to look for"
    for place in places:
        code = re.findall(r"`([^`\n]+)`", prose(place))
        missing = {name for name in names if not any(_begins(piece, name) for piece in code)}
        assert not missing, f"{place} does not document {sorted(missing)}"


def _begins(piece: str, name: str) -> bool:
    return piece == name or re.match(rf"{re.escape(name)}\b(?![\w/-])", piece) is not None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_generated_documents_are_those_of_the_settings(name: str) -> None:
    assert text(name) == DOCUMENTS[name](Settings), "run `make docs`"


def test_the_example_environment_uncommented_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    example = tmp_path / ".env"
    lines = re.findall(r"^# ([A-Z_]+=.+)$", text(".env.example"), re.MULTILINE)
    example.write_text("\n".join(lines), encoding="utf-8")
    assert len(lines) > len(Settings.model_fields) / 2
    assert Settings(_env_file=example) == Settings(_env_file=None)


def test_every_setting_is_documented_and_no_other() -> None:
    real = {name.upper() for name in Settings.model_fields}
    assert_documented(real, "docs/configuration.md")
    others = set(re.findall(r"^ +([A-Z_]+):|\$\{([A-Z_]+)", _compose_files(), re.MULTILINE))
    known = real.union(*others)
    for name in documents():
        documented = set(_SETTING.findall(text(name)))
        assert documented <= known, (
            f"{name} documents settings that do not exist: {documented - known}"
        )


def _compose_files() -> str:
    return "".join(one.read_text("utf-8") for one in (ROOT / "docker").glob("*.yml"))


def test_every_metric_is_documented_and_no_other() -> None:
    real = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in FailureMetrics().registry.collect()
    }
    assert_documented(real, "docs/api.md")
    for name in documents():
        documented = {
            one.partition("{")[0] for one in re.findall(r"`(stt_engine_[a-z_]+)", text(name))
        }
        assert documented <= real, (
            f"{name} documents metrics that do not exist: {documented - real}"
        )


def test_every_endpoint_is_documented() -> None:
    routes = create_app(Settings(_env_file=None)).routes
    found = {
        f"{method} {route.path}"
        for route in _flat(routes)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {"POST /transcribe", "GET /health"} <= found
    assert_documented(found, "docs/api.md")


def _flat(routes: object) -> Iterator[Route | APIRoute]:
    for route in routes:  # type: ignore[attr-defined]
        if isinstance(route, (Route, APIRoute)):
            yield route
        else:  # an included router, kept as one
            yield from _flat(getattr(route, "original_router", route).routes)


def test_every_field_is_documented() -> None:
    models = (
        TranscribeResponse,
        AnalyzeResponse,
        JobResponse,
        JobList,
        CaseResponse,
        CaseList,
        HealthResponse,
        ReadyResponse,
        RecognitionResponse,
    )
    fields = {name for model in models for name in model.model_fields}
    found = {
        *result.ValidationResult.__annotations__,
        *result.ElementDict.__annotations__,
        *result.TiersDict.__annotations__,
    }
    for app in (create_app(Settings(_env_file=None)), create_stt_app(Settings(_env_file=None))):
        schemas = app.openapi()["components"]["schemas"]
        for name in schemas:
            fields |= set(schemas[name]["properties"]) if "Body_" in name else set()
    assert_documented(fields | found, "docs/api.md")


def test_every_stage_and_circuit_event_is_documented() -> None:
    assert_documented({str(stage) for stage in Stage}, "docs/api.md")
    assert_documented({*TRANSITIONS.values(), "refused"}, "docs/api.md")


def test_every_status_and_reason_of_the_check_is_documented() -> None:
    assert_documented({*STATUSES, *get_args(Reading), *map(str, Reason)}, "docs/api.md")


def test_every_warning_is_documented() -> None:
    assert_documented({*MESSAGES, *get_args(UnheardReason)}, "docs/api.md")
    table = text("docs/api.md").split("### `warnings`")[1]
    barring = set(re.findall(r"^\| `(\w+)` \| yes", table, re.MULTILINE))
    assert barring == BARS_ABSENCE


def test_every_command_is_documented() -> None:
    commands = set(_commands(typer.main.get_command(program.app), "stt-engine"))
    assert "stt-engine model verify" in commands
    assert_documented(commands, "docs/operations.md")


def _commands(command: object, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for part, found in inner.items():
        yield from _commands(found, f"{name} {part}")


def test_every_problem_is_documented() -> None:
    slugs = {problems.build_slug(error) for error in problems.AUDIO_STATUS}
    for path in (ROOT / "src").rglob("*.py"):
        slugs.update(_slugs(ast.parse(path.read_text(encoding="utf-8"))))
    assert {"outside-roots", "queue-full", "no-key"} <= slugs
    assert_documented(slugs, "docs/api.md")


def _slugs(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Problem":
            slug = node.args[1]
            if isinstance(slug, ast.Constant):
                yield str(slug.value)


def test_every_error_type_is_documented() -> None:
    ours = [
        error
        for error in all_errors().values()
        if error.__module__.startswith(("stt_engine", "api_server"))
    ]
    leaves = {one.error_type for one in ours if not _children(one)}
    assert {"WorkerDied", "CircuitOpen", "FileNotFoundError"} <= leaves
    assert_documented(leaves, "docs/api.md")


def _children(error: type[EngineError]) -> list[type[EngineError]]:
    return [one for one in error.__subclasses__() if not one.__module__.startswith("tests")]


@pytest.mark.parametrize("name", [one for one in documents() if one != "CHANGELOG.md"])
def test_every_file_and_program_that_is_named_exists(name: str) -> None:
    files = set(_FILE.findall(text(name)))
    missing = {one for one in files if not (ROOT / one).exists()}
    assert not missing, f"{name} names files that do not exist: {missing}"
    programs = set(_PROGRAM.findall(text(name)))
    missing = {one for one in programs if not _can_run(one)}
    assert not missing, f"{name} names programs that do not exist: {missing}"


def _can_run(module: str) -> bool:
    path = ROOT / "src" / module.replace(".", "/")
    beside = ROOT / module.replace(".", "/")
    return any(
        file.is_file()
        for one in (path, beside)
        for file in (one.with_suffix(".py"), one / "__main__.py")
    )


@pytest.mark.parametrize("name", ["docs/logging.md", "docs/logging.ko.md"])
def test_every_log_line_is_documented(name: str) -> None:
    words = {word for module in LINE_MODULES for word in _words(Path(str(module.__file__)))}
    assert len(words) > 40
    missing = {word for word in words if word not in prose(name)}
    assert not missing, f"{name} does not document {sorted(missing)}"
    assert_documented({"LOG_TRANSCRIPTS=true", "LOG_FORMAT=json", "LOG_LEVEL"}, name)


def _words(path: Path) -> Iterator[str]:
    """Yield the Korean pieces of every string in a module but its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
            and _HANGUL.search(node.value)
        ):
            yield from (piece.strip() for piece in node.value.split("%s"))
