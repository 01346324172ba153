"""However a command ends: one exit code, one line on stderr, or one JSON object on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import typer

from api_server.settings import SettingsInvalid
from stt_engine.errors import AudioEmpty, InvalidRequest, ModelFetchFailed
from stt_tools.cli import program
from stt_tools.cli.ending import exit_code_of
from stt_tools.exits import (
    DEFECT,
    DEGRADED,
    DONE,
    INTERRUPTED,
    USAGE,
    CommandFailed,
    fail,
    refuse,
    refuse_on_error,
)
from tests.support.documents import ROOT
from tests.support.fault_server import refused_port

pytestmark = pytest.mark.usefixtures("own_logging")

COMMANDS = ("drill", "serve", "transcribe", "analyze", "doctor", "model")


def ran(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    """Run the command line in this process; only what ends before it logs may be run here."""
    monkeypatch.setattr(sys, "argv", ["stt-engine", *words])
    code = program.run()
    return code, *capsys.readouterr()


def _raising(error: BaseException) -> Any:
    def command() -> object:
        raise error

    return command


ENDINGS = [
    (CommandFailed("words", DEGRADED, "Kind"), DEGRADED, "Kind", "words"),
    (AudioEmpty("0 bytes"), USAGE, "AudioEmpty", "AudioEmpty: 0 bytes"),
    (InvalidRequest("no"), USAGE, "InvalidRequest", "InvalidRequest: no"),
    (ModelFetchFailed("no net"), DEGRADED, "ModelFetchFailed", "ModelFetchFailed: no net"),
    (SettingsInvalid(["A is wrong"]), USAGE, "SettingsInvalid", "wrong setting: A is wrong"),
    (typer.BadParameter("bad"), USAGE, "UsageError", "bad"),
    (OSError(28, "No space left on device"), DEGRADED, "OSError", "No space left"),
    (ZeroDivisionError("by zero"), DEFECT, "ZeroDivisionError", "a defect of stt-engine"),
]


@pytest.mark.parametrize(
    ("error", "code", "name", "words"), ENDINGS, ids=[type(one[0]).__name__ for one in ENDINGS]
)
def test_a_failure_is_one_line_or_one_object(
    error: Exception, code: int, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(_raising(error), as_json=False) == code
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert words in told.err
    assert exit_code_of(_raising(error), as_json=True) == code
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (told.err, found["success"]) == ("", False)
    assert (found["error_type"], found["exit_code"]) == (name, code)
    assert words in found["error"]


def test_words_of_several_lines_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(_raising(CommandFailed("one\n  two [red]", USAGE, "Kind")), as_json=False)
    assert capsys.readouterr().err == "one two [red]\n"


def test_a_defect_shows_where_from_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code_of(_raising(KeyError("x")), as_json=False, verbose=True)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_is_quiet(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(_raising(error), as_json=False) == INTERRUPTED
    assert capsys.readouterr() == ("", "")
    assert exit_code_of(_raising(error), as_json=True) == INTERRUPTED
    assert json.loads(capsys.readouterr().out)["error_type"] == "Interrupted"


@pytest.mark.parametrize(("given", "code"), [(None, DONE), (0, DONE), (1, DEGRADED), ("x", DONE)])
def test_what_a_command_returns(given: object, code: int) -> None:
    assert exit_code_of(lambda: given, as_json=True) == code


def test_what_is_wrong_only_in_its_use_is_a_refusal() -> None:
    for error, name in ((ValueError("x"), "SettingsInvalid"), (AudioEmpty("x"), "AudioEmpty")):
        with pytest.raises(CommandFailed) as found, refuse_on_error():
            raise error
        assert (found.value.code, found.value.error_type) == (USAGE, name)
    for ending, code in ((refuse, USAGE), (fail, DEGRADED)):
        with pytest.raises(CommandFailed) as found:
            ending("x", "Kind")
        assert found.value.code == code


WRONG = [
    *((name, "--nope") for name in COMMANDS),
    ("nothing-of-the-kind",),
    ("transcribe",),
    ("transcribe", "a", "b"),
    ("transcribe", "a", "-l", "kr"),
    ("analyze", "/nowhere.json"),
    ("model", "fetch", "bse"),
    ("model", "nope"),
    ("serve", "--port", "70000"),
    ("drill", "--only", "no such fault"),
    ("drill", "--url", "http://x", "--docker"),
    ("drill", "--url", "nowhere"),
    ("drill", "--url", "ftp://127.0.0.1"),
    ("drill", "--url", "http://no.such.host.invalid:8003"),
    ("drill", "--url", f"http://127.0.0.1:{refused_port()}"),
    ("drill", "--timeout", "soon"),
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = ran(capsys, monkeypatch, *words)
    assert (code, out, len(err.splitlines())) == (USAGE, "", 1)
    code, out, err = ran(capsys, monkeypatch, *words, "--json")
    told = json.loads(out)
    assert (code, err, told["success"], told["exit_code"]) == (USAGE, "", False, USAGE)
    assert told["error"]


def test_a_wrong_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STT_BACKENDS", "magic")
    for words in (("transcribe", "a.wav"), ("analyze", "a.txt"), ("drill", "--url", "http://x")):
        code, out, _ = ran(capsys, monkeypatch, *words, "--json")
        assert (code, json.loads(out)["error_type"]) == (USAGE, "SettingsInvalid")
    code, out, _ = ran(capsys, monkeypatch, "serve", "--check", "--json")
    assert (code, json.loads(out)["success"]) == (USAGE, False)


def test_without_a_command_the_help_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in ((), ("model",)):
        code, out, err = ran(capsys, monkeypatch, *words)
        assert (code, err) == (USAGE, "")
        assert "Usage" in out
    assert "143" in ran(capsys, monkeypatch, "--help")[1]


def test_the_list_of_faults_can_be_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = ran(capsys, monkeypatch, "drill", "--list", "--json")
    assert (code, {"fault", "promised"} <= json.loads(out)[0].keys()) == (DONE, True)


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """A Python that has the package and none of its extra, as ``pip install stt-engine`` gives."""
    metadata = tmp_path / "stt_engine-0.1.0.dist-info"
    metadata.mkdir()
    told = distribution("stt-engine").read_text("METADATA")
    (metadata / "METADATA").write_text(told or "", encoding="utf-8")
    path = os.pathsep.join((str(ROOT / "src"), str(tmp_path)))
    for option in ((), ("--json",)):
        found = subprocess.run(
            [sys.executable, "-S", "-m", "stt_tools", "doctor", *option],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        words = json.loads(found.stdout)["error"] if option else found.stderr
        assert (found.returncode, len(found.stderr.splitlines())) == (USAGE, 1 - len(option))
        assert "fastapi" in words
        assert "pip install 'stt-engine[server]'" in words
