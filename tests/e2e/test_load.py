"""The load tests as commands, made short: `make soak` and `make overload` run them whole."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.server import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _run(name: str, *options: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / name, "--json", *options],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=800,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    assert ran.returncode == 0, (found, ran.stderr[-2000:])
    return found


def test_calls_of_every_kind_with_processes_killed_are_answered_honestly() -> None:
    found = _run("soak.py", "--calls", "40", "--kill-calls", "8")
    assert found["answered"] == 40
    assert found["dishonest"] == []
    assert sum(found["kills"].values()) >= 1
    assert found["temporary_files"] == found["defects"] == 0


def test_more_calls_than_the_machine_can_take_are_served_or_refused() -> None:
    # A wait that a few clips fill: a fast machine would take in all that eight seconds bring.
    found = _run("overload.py", "--seconds", "8", "--wait-sec", "4", "--health-ms", "1000")
    assert found["neither"] == []
    assert found["served"] > 0
    assert found["refused"] > 0
    assert found["retry_after_sec"][0] >= 1
