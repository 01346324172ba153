"""The examples of the documents run, and print what is shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import FENCE, ROOT, documents, text
from tests.support.fault_server import refused_port
from tests.support.server import ApiServer, api_server, environment
from tests.support.sounds import first_seconds

MODEL = "models/Systran_faster-whisper-base"


@dataclass(frozen=True)
class Example:
    """A block marked ``run``, and the output shown under it."""

    place: str
    language: str
    code: str
    shown: str | None


def examples() -> list[Example]:
    """Return every example once: the Korean documents hold the same blocks."""
    found = []
    for name in documents():
        if name.endswith(".ko.md"):
            continue
        blocks = list(FENCE.finditer(text(name)))
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
    if "curl " in code and shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    if "localhost:8003" in code:
        running: ApiServer = request.getfixturevalue("server")
        running.wait_ready()
        code = code.replace("localhost:8003", f"localhost:{running.port}")
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
