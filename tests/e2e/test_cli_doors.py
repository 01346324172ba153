"""The command line at its doors: Ctrl-C at any time, from any folder, what a terminal shows."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api_server.settings import Settings
from stt_engine import __version__
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.external_server import check_server
from stt_tools.drill.fault_server import FaultServer, answer, serve_in_thread
from stt_tools.drill.runner import run_external
from tests.support.in_process import CANARY_WORDS
from tests.support.models import whisper_base
from tests.support.server import CLI, DEADLINE_SEC, ROOT, ApiServer, awaited, environment

CANARY = ROOT / "src/stt_engine/assets/canary.wav"
CALL = ROOT / "audio/sample_call.wav"

_AT_IMPORT = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Interrupt(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.{handler})
sys.argv = ["stt-engine", {command!r}]
from stt_tools.entry import main
main()
"""


def _interrupted(folder: Path, module: str, handler: str, command: str) -> tuple[int, bytes, bytes]:
    """Run a command that Ctrl-C reaches at an import: a moment of its first second."""
    found = subprocess.run(
        [sys.executable, "-c", _AT_IMPORT.format(module=module, handler=handler, command=command)],
        env=environment(folder),
        capture_output=True,
        check=False,
        timeout=DEADLINE_SEC,
    )
    return found.returncode, found.stdout, found.stderr


@pytest.mark.parametrize("module", ["stt_tools.cli", "typer", "re2", "stt_engine.engine"])
def test_ctrl_c_while_it_starts_is_quiet(module: str, tmp_path: Path) -> None:
    ended = _interrupted(tmp_path, module, "default_int_handler", "serve")
    assert ended == (130, b"", b"")


def test_a_background_job_ignores_ctrl_c_as_before(tmp_path: Path) -> None:
    code, out, err = _interrupted(tmp_path, "typer", "SIG_IGN", "--version")
    assert (code, out.strip(), err) == (0, __version__.encode(), b"")


@contextmanager
def _terminal(folder: Path, *words: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*CLI, *map(str, words)],
        env=environment(folder, term="xterm"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def _until(terminal: int, words: str) -> str:
    """Read what a terminal shows until it shows ``words``; it ends where the command does."""
    seen = b""
    while words not in seen.decode(errors="replace"):
        seen += os.read(terminal, 4096)
    return seen.decode(errors="replace")


def test_a_terminal_shows_the_words_before_the_result(tmp_path: Path) -> None:
    with _terminal(tmp_path, "transcribe", CALL, "-l", "english", "--json") as (process, shown):
        assert "음성 변환 중: 채널 " in _until(shown, "deposit insurance")
        out, _ = process.communicate(timeout=DEADLINE_SEC)
    assert json.loads(out)["language"] == "en"


def test_ctrl_c_while_it_transcribes_is_quiet(tmp_path: Path) -> None:
    with _terminal(tmp_path, "transcribe", CALL, "-l", "en") as (process, shown):
        _until(shown, "음성 변환 중")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=DEADLINE_SEC)
    assert (process.returncode, out) == (130, b"")


def test_a_model_is_found_from_any_folder(tmp_path: Path) -> None:
    home = tmp_path / "home" / "models"
    home.mkdir(parents=True)
    (home / "Systran_faster-whisper-base").symlink_to(whisper_base())
    for model in (("--model", "base"), ()):
        env = environment(tmp_path, stt_home=home.parent, stt_model_path="")
        del env["STT_MODEL_PATH"]
        found = subprocess.run(
            [*CLI, "transcribe", str(CANARY), "-l", "EN", *model],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_SEC,
        )
        assert found.returncode == 0, found.stderr
        assert CANARY_WORDS in found.stdout.lower()


def test_the_drill_wants_a_server_of_ours_that_lets_it_in(tmp_path: Path) -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    other = FaultServer(answer(200, {}))
    with serve_in_thread(other), pytest.raises(DrillError, match="is no stt-engine server"):
        run_external((), Target(other.base), settings, lambda _: None)
    server = ApiServer(tmp_path, api_keys="a-key-of-sixteen-letters")
    try:
        awaited(lambda: server.port, "it listens")
        with pytest.raises(DrillError, match="does not let the drill in"):
            check_server(Target(server.base))
        check_server(Target(server.base, "a-key-of-sixteen-letters"))
        server.stop()
    finally:
        server.kill()
