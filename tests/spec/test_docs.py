"""The documents say what the code is: names are introspected, and the examples are run."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import pytest
import typer.main
from fastapi.routing import APIRoute
from starlette.routing import Route

from api_server import cli, log_lines, problems, transcribe_lines
from api_server.app import create_app
from api_server.metrics import FailureMetrics
from api_server.models import (
    AnalyzeResponse,
    HealthResponse,
    ReadyResponse,
    RecognitionResponse,
    TranscribeResponse,
)
from api_server.reference import DOCUMENTS
from api_server.services import check_result, validation_lines
from api_server.services.circuit_policy import TRANSITIONS
from api_server.services.findings import STATUSES, Reading, Reason
from api_server.settings import Settings
from api_server.stt_app import create_stt_app
from stt_engine import fetch_lines, log, stt_lines
from stt_engine.errors import EngineError, all_errors
from stt_engine.outcome import Stage
from tests.support.fault_server import refused_port
from tests.support.server import ApiServer, api_server, environment
from tests.support.sounds import first_seconds

ROOT = Path(__file__).resolve().parents[2]
MODEL = "models/Systran_faster-whisper-base"
PAIRS = (
    "README",
    "docs/local-development",
    "docs/fallback",
    "docs/load",
    "docs/logging",
    "docs/operations",
    "docs/privacy",
    "docs/rubric",
)
"""Documents that are there in English (``.md``) and in Korean (``.ko.md``)."""

LINE_MODULES = (log, stt_lines, fetch_lines, log_lines, transcribe_lines, validation_lines)
"""Where the words of the log are."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HANGUL = re.compile("[가-힣]")
_SETTING = re.compile(
    r"\b(?:API|STT|AUDIO|ANALYZE|QUEUE|VLLM|AGENT|CIRCUIT|RUBRIC|READY|LOG)_[A-Z_]+\b"
)


def documents() -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    )


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(name: str) -> str:
    """Give a document without its code blocks."""
    return _FENCE.sub("", text(name))


def assert_told(names: set[str], *places: str) -> None:
    """Assert that each of ``names`` stands in each of ``places`` as code, or begins a piece."""
    assert names, "nothing was found to look for"
    for place in places:
        code = re.findall(r"`([^`\n]+)`", prose(place))
        missing = {name for name in names if not any(_begins(piece, name) for piece in code)}
        assert not missing, f"{place} does not tell of {sorted(missing)}"


def _begins(piece: str, name: str) -> bool:
    return piece == name or re.match(rf"{re.escape(name)}\b(?![\w/-])", piece) is not None


# --- what there is, is told ---------------------------------------------------------------


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


def test_every_setting_is_told_and_no_other() -> None:
    real = {name.upper() for name in Settings.model_fields}
    assert_told(real, "docs/configuration.md")
    others = set(re.findall(r"^ +([A-Z_]+):|\$\{([A-Z_]+)", _compose_files(), re.MULTILINE))
    known = real.union(*others)
    for name in documents():
        told = set(_SETTING.findall(text(name)))
        assert told <= known, f"{name} tells of settings that do not exist: {told - known}"


def _compose_files() -> str:
    return "".join(one.read_text("utf-8") for one in (ROOT / "docker").glob("*.yml"))


def test_every_metric_is_told_and_no_other() -> None:
    real = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in FailureMetrics().registry.collect()
    }
    assert_told(real, "docs/api.md")
    for name in documents():
        told = {one.partition("{")[0] for one in re.findall(r"`(stt_engine_[a-z_]+)", text(name))}
        assert told <= real, f"{name} tells of metrics that do not exist: {told - real}"


def test_every_endpoint_is_told() -> None:
    routes = create_app(Settings(_env_file=None)).routes
    found = {
        f"{method} {route.path}"
        for route in _flat(routes)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {"POST /transcribe", "GET /health"} <= found
    assert_told(found, "docs/api.md")


def _flat(routes: object) -> Iterator[Route | APIRoute]:
    for route in routes:  # type: ignore[attr-defined]
        if isinstance(route, (Route, APIRoute)):
            yield route
        else:  # an included router, kept as one
            yield from _flat(getattr(route, "original_router", route).routes)


def test_every_field_is_told() -> None:
    models = (
        TranscribeResponse,
        AnalyzeResponse,
        HealthResponse,
        ReadyResponse,
        RecognitionResponse,
    )
    fields = {name for model in models for name in model.model_fields}
    found = {
        *check_result.ValidationResult.__annotations__,
        *check_result.ElementDict.__annotations__,
        *check_result.TiersDict.__annotations__,
    }
    for app in (create_app(Settings(_env_file=None)), create_stt_app(Settings(_env_file=None))):
        schemas = app.openapi()["components"]["schemas"]
        fields |= set(next(schemas[name] for name in schemas if "Body_" in name)["properties"])
    assert_told(fields | found, "docs/api.md")


def test_every_stage_and_circuit_event_is_told() -> None:
    assert_told({str(stage) for stage in Stage}, "docs/api.md")
    assert_told({*TRANSITIONS.values(), "refused"}, "docs/api.md")


def test_every_status_and_reason_of_the_check_is_told() -> None:
    assert_told({*STATUSES, *get_args(Reading), *map(str, Reason)}, "docs/api.md")


def test_every_command_is_told() -> None:
    commands = set(_commands(typer.main.get_command(cli.app), "stt-engine"))
    assert "stt-engine model verify" in commands
    assert_told(commands, "docs/operations.md")


def _commands(command: object, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name
        return
    for part, found in inner.items():
        yield from _commands(found, f"{name} {part}")


def test_every_problem_is_told() -> None:
    slugs = {problems.slug_of(error) for error in problems.AUDIO_STATUS}
    for path in (ROOT / "src" / "api_server").rglob("*.py"):
        slugs.update(_slugs(ast.parse(path.read_text(encoding="utf-8"))))
    assert {"outside-roots", "queue-full", "no-key"} <= slugs
    assert_told(slugs, "docs/api.md")


def _slugs(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Problem":
            slug = node.args[1]
            if isinstance(slug, ast.Constant):
                yield str(slug.value)


def test_every_error_type_is_told() -> None:
    ours = [
        error
        for error in all_errors().values()
        if error.__module__.startswith(("stt_engine", "api_server"))
    ]
    leaves = {one.error_type for one in ours if not _children(one)}
    assert {"WorkerDied", "CircuitOpen", "FileNotFoundError"} <= leaves
    assert_told(leaves, "docs/api.md")


def _children(error: type[EngineError]) -> list[type[EngineError]]:
    return [one for one in error.__subclasses__() if not one.__module__.startswith("tests")]


@pytest.mark.parametrize("name", ["docs/logging.md", "docs/logging.ko.md"])
def test_every_log_line_is_told(name: str) -> None:
    words = {word for module in LINE_MODULES for word in _words(Path(str(module.__file__)))}
    assert len(words) > 40
    missing = {word for word in words if word not in prose(name)}
    assert not missing, f"{name} does not tell of {sorted(missing)}"
    assert_told({"LOG_TRANSCRIPTS=true", "LOG_FORMAT=json", "LOG_LEVEL"}, name)


def _words(path: Path) -> Iterator[str]:
    """Give the Korean pieces of every string in a module but its docstrings."""
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


# --- both languages say the same -----------------------------------------------------------


@pytest.mark.parametrize("stem", PAIRS)
def test_both_languages_have_the_same_shape(stem: str) -> None:
    english, korean = text(f"{stem}.md"), text(f"{stem}.ko.md")
    assert _blocks(english) == _blocks(korean)
    for shape in (_levels, _targets, _table_rows):
        assert shape(english) == shape(korean), shape.__name__


def _blocks(document: str) -> list[tuple[str, str]]:
    return [(found["info"], found["body"]) for found in _FENCE.finditer(document)]


def _levels(document: str) -> list[int]:
    return [len(found[1]) for found in _HEADING.finditer(_FENCE.sub("", document))]


def _targets(document: str) -> list[str]:
    """Give every link's file, in whatever order and language."""
    found = _LINK.findall(_FENCE.sub("", document))
    return sorted(re.sub(r"#.*|\.ko(?=\.)", "", target) for target in found)


def _table_rows(document: str) -> list[int]:
    rows = re.findall(r"^\|.*\|$", _FENCE.sub("", document), re.MULTILINE)
    return [len(re.findall(r"(?<!\\)\|", row)) for row in rows]


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name: str) -> None:
    for target in _LINK.findall(prose(name)):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            headings = _HEADING.findall(prose(str(file.relative_to(ROOT))))
            assert anchor in {_slug(title) for _, title in headings}, f"{name}: {target}"


def _slug(title: str) -> str:
    """Give a heading's anchor as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


# --- the examples run, and print what is shown ----------------------------------------------


@dataclass(frozen=True)
class Example:
    """A block marked ``run``, and the output shown under it."""

    place: str
    language: str
    code: str
    shown: str | None


def examples() -> list[Example]:
    """Give every example once: the Korean documents hold the same blocks."""
    found = []
    for name in documents():
        if name.endswith(".ko.md"):
            continue
        blocks = list(_FENCE.finditer(text(name)))
        for block, following in zip_longest(blocks, blocks[1:]):
            language, _, mark = block["info"].partition(" ")
            if mark == "run":
                line = text(name).count("\n", 0, block.start()) + 1
                output = following and following["info"].endswith(" output")
                shown = following["body"] if following and output else None
                found.append(Example(f"{name}:{line}", language, block["body"], shown))
    return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, whisper_base: Path, sample_call: Path) -> Path:
    """A folder that looks like the project's, in which examples may move and write things."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "audio").mkdir()
    (folder / "audio" / sample_call.name).write_bytes(first_seconds(sample_call, 8))
    (folder / "models").mkdir()
    (folder / MODEL).symlink_to(whisper_base)
    (folder / "src").symlink_to(ROOT / "src")
    return folder


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Paths as in the documents; on port 8000 of the documents nobody answers."""
    return {"stt_model_path": MODEL, "vllm_api_url": f"http://localhost:{refused_port()}/v1"}


@pytest.fixture(scope="module")
def server(desk: Path, settings: dict[str, Any]) -> Iterator[ApiServer]:
    with api_server(desk, audio_roots="audio", **settings) as running:
        yield running


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.place)
def test_example(
    example: Example, desk: Path, settings: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    code = example.code
    if "curl " in code:
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed here")
        running: ApiServer = request.getfixturevalue("server")
        running.wait_ready()
        code = code.replace("localhost:8003", f"localhost:{running.port}")
    assert "localhost:8003" not in code
    found = subprocess.run(
        _command(example.language, code),
        cwd=desk,
        env=_environment(desk, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=150,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    if example.shown is not None:
        _assert_shown(example.shown, found.stdout)


def _command(language: str, code: str) -> list[str]:
    if language == "python":
        return [sys.executable, "-W", "error", "-c", code]
    assert language == "bash", language
    return ["bash", "-euo", "pipefail", "-c", code]


def _environment(desk: Path, settings: dict[str, Any]) -> dict[str, str]:
    own = environment(desk, **settings)
    return {**own, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"}


def _assert_shown(shown: str, printed: str) -> None:
    """Assert that every line shown was printed, in this order."""
    rest = printed.splitlines()
    for line in (line.strip() for line in shown.splitlines()):
        if line in {"", "..."}:
            continue
        wanted = _pattern(line)
        at = next((n for n, one in enumerate(rest) if wanted.search(one)), None)
        assert at is not None, f"{line!r} was not printed after what stands before it:\n{printed}"
        rest = rest[at + 1 :]


def _pattern(line: str) -> re.Pattern[str]:
    """``...`` is anything; a number with a decimal point is any such number."""
    pieces = re.split(r"(\.\.\.|\d+\.\d+)", line)
    return re.compile(
        "".join(
            ".*" if piece == "..." else r"\d+\.\d+" if n % 2 else re.escape(piece)
            for n, piece in enumerate(pieces)
        )
    )


def test_examples_were_found() -> None:
    assert len(examples()) >= 15
    assert {example.language for example in examples()} == {"python", "bash"}
