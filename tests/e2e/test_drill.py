"""``stt-engine drill``: the whole of it, against servers of its own and of others."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from stt_tools.drill.postgres import why_absent
from stt_tools.drill.registry import scenarios
from tests.support.fault_server import answer
from tests.support.server import CLI, api_server, assert_gone, environment

PASSED, BROKEN, USAGE = 0, 1, 2
WHOLE_SEC = 900
"""Far above what it takes (three to four minutes): the machine may be busy."""


def run(
    folder: Path, *arguments: str, **settings: object
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """Run the command with ``--json``; give what it printed."""
    ran = subprocess.run(
        [*CLI, "drill", "--json", *arguments],
        env=environment(folder, **settings),
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=WHOLE_SEC,
    )
    return ran, json.loads(ran.stdout).get("results", [])


def only(*names: str) -> Sequence[str]:
    return [part for name in names for part in ("--only", name)]


@pytest.mark.slow
@pytest.mark.timeout(WHOLE_SEC)
def test_every_fallback_is_kept(tmp_path: Path) -> None:
    ran, results = run(tmp_path)
    assert [one for one in results if one["verdict"] not in {"pass", "skipped"}] == [], ran.stderr
    assert ran.returncode == PASSED
    faults = {one["fault"].partition(":")[0] for one in results}
    assert faults == {one.name for one in scenarios()}
    skipped = {one["fault"] for one in results if one["verdict"] == "skipped"}
    absent = {"no GPU", "library not installed", "voices killed"}
    absent |= {"PostgreSQL down"} if why_absent() else set()
    assert skipped <= absent, "only where a GPU, torch, or no model of voices or PostgreSQL is"
    assert list((tmp_path / "tmp").glob("stt-drill-*")) == []


def test_what_a_result_holds(tmp_path: Path) -> None:
    """The log lines and the counters of just this call, and the settings that were replaced."""
    ran, results = run(tmp_path, *only("LLM out of memory (500)"), queue_max_waiting=7)
    (found,) = results
    assert (ran.returncode, found["verdict"]) == (PASSED, "pass"), ran.stdout
    words = "ERROR - [AgentBackend] 예기치 않은 오류: AgentServerError: HTTP 500"
    assert any(line.startswith(words) for line in found["log_lines"])
    assert all(line.startswith(("WARNING", "ERROR")) for line in found["log_lines"])
    counted = [name for name in found["metrics"] if 'error_type="AgentServerError"' in name]
    assert [found["metrics"][name] for name in counted] == [1.0]
    assert found["settings"]["AUDIO_MAX_DURATION_SEC"] == "60"
    assert "QUEUE_MAX_WAITING" not in found["settings"], "the deployment's own is kept"
    assert 0 < found["took_sec"] <= found["bound_sec"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*CLI, "drill", *only("nothing is broken", "recogniser hangs", "LLM too slow")],
        env=environment(tmp_path) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as drill:
        try:
            assert drill.stdout is not None
            assert drill.stdout.readline().startswith("pass")
            children = psutil.Process(drill.pid).children(recursive=True)
            assert len(children) == 4, "server, model, decoder, text"
            drill.send_signal(number)
            drill.stdout.read()
            assert drill.wait() != PASSED
        finally:
            drill.kill()  # one that does not end would keep the test for ever
    assert_gone(children)
    assert list((tmp_path / "tmp").glob("stt-drill-*")) == []


def test_a_server_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with api_server(tmp_path / "there", agent_allowed_hosts="127.0.0.1:*") as server:
        names = ("LLM redirects", "recording cut", "model missing", "recogniser killed (-9)")
        ran, results = run(tmp_path, "--url", server.base, *only(*names))
    verdicts = {one["fault"]: one["verdict"] for one in results}
    assert ran.returncode == PASSED, ran.stdout
    assert verdicts == {
        "recording cut": "pass",
        "LLM redirects": "pass",
        "LLM redirects: not followed": "pass",
        "model missing": "skipped",
        "recogniser killed (-9)": "skipped",
    }


def test_a_server_that_may_not_ask_the_drills_agent(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with api_server(tmp_path / "there", agent_allowed_hosts="", api_keys="secret") as server:
        names = only("LLM redirects", "recording cut")
        key = ("--api-key", "secret")
        ran, results = run(tmp_path, "--url", server.base, *names, *key)
        refused, nothing = run(tmp_path, "--url", server.base, *names)
    assert [one["verdict"] for one in results] == ["pass", "skipped"], ran.stdout
    assert "AGENT_ALLOWED_HOSTS" in results[1]["got"]
    assert ran.returncode == PASSED
    assert (refused.returncode, nothing) == (USAGE, [])


async def test_a_server_that_invents_is_found_out(tmp_path: Path) -> None:
    """One that answers every recording with the same words, whatever it is."""
    from anyio.to_thread import run_sync  # noqa: PLC0415

    from tests.support.fault_server import FaultServer  # noqa: PLC0415

    invented = {
        "success": True,
        "text": "고객님 감사합니다",
        "segments": [{"text": "고객님 감사합니다"}],
        "outcome": "speech",
        "backend": "faster-whisper",
        "is_dummy": False,
        "is_agent_dummy": False,
    }
    health = answer(200, {"components": []})
    async with FaultServer(answer(200, invented), models=health) as server:
        names = only("recordings refused, the next call", "recording not audio")
        ran, results = await run_sync(lambda: run(tmp_path, "--url", server.base, *names))
    assert ran.returncode == BROKEN
    assert [one["verdict"] for one in results] == ["fail", "fail"]
    assert "LIE: text of a recording that says nothing" in results[0]["got"]
    assert "LIE: text that nobody said" in results[1]["got"]


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("--url", "http://127.0.0.1:1", "--docker"), {}, "one of --url and --docker"),
        (("--only", "everything"), {}, "no such fault: everything"),
        ((), {"stt_model_path": "nowhere"}, "nowhere is no model folder"),
        (("--list", "--nonsense"), {}, "--nonsense"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    ran, _ = run(tmp_path, *arguments, **settings)
    assert ran.returncode == USAGE
    assert words in json.loads(ran.stdout)["error"]


def test_list(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*CLI, "drill", "--list"],
        env=environment(tmp_path),
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert len(ran.stdout.splitlines()) == len(scenarios())


def test_a_server_that_knows_its_model(tmp_path: Path) -> None:
    """What shows itself to be impossible there is skipped, and not taken for a failure."""
    (tmp_path / "there").mkdir()
    settings = {"agent_allowed_hosts": "127.0.0.1:*", "agent_model": "its-own"}
    with api_server(tmp_path / "there", **settings) as server:
        names = only("LLM names no model", "LLM answers nothing")
        ran, results = run(tmp_path, "--url", server.base, *names)
    assert [one["verdict"] for one in results] == ["pass", "skipped"], ran.stdout
    assert "in its settings" in results[1]["got"]
    assert ran.returncode == PASSED
