"""What the page for reviewers costs: a long list, and a long call in a browser.

``PYTHONPATH=.cache/browser python benchmarks/review_page.py [--only list|text|sound]``

``list``: 100,000 cases with eight findings each, asked by HTTP. ``text``: a call of two hours with
10,000 sentences in Chromium: when the first ones are painted, when all of them are there, and the
frames while it is scrolled. ``sound``: a recording of two hours on two channels: how soon it
plays from anywhere in it, and how far the lanes are from what is heard at a tone near the end.
It takes Chromium (``CHROMIUM``), and what
``make test-web`` has installed. Exit code 1 where a figure is beyond its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api_server.store.database import Database
from api_server.store.recordings import RecordingFolder
from api_server.store.review_tables import REVIEW_CASES, REVIEW_FINDINGS
from api_server.store.schema import CASES, JOBS
from tests.browser.conftest import PAGE, open_store
from tests.support.reviewed import add_case, long_result
from tests.support.server import ApiServer, api_server

CALLS, FINDINGS, SENTENCES = 100_000, 8, 10_000
BOUNDS_MS = {
    "list p95": 200.0,
    "first sentences painted": 1000.0,
    "slowest frame in twenty while scrolling": 34.0,
    "plays from anywhere p95": 300.0,
    "lanes and sound apart at the end": 50.0,
}
HOURS, TONE_AT_SEC, _SEEKS = 2.0, 7190.0, 40
_ASKED, _ROWS, _SCROLLS = 40, 5000, 120
_ELEMENTS = tuple(f"solicitation.of_{number}" for number in range(FINDINGS))


def fill_list(database: Database) -> None:
    """Put so many reviewed cases into an empty store, as the queue knows them."""
    chance = random.Random(7)
    jobs = CALLS // 100
    with database.write() as connection:
        connection.execute(insert(JOBS), [_job(number) for number in range(1, jobs + 1)])
        for begin in range(1, CALLS + 1, _ROWS):
            numbers = range(begin, min(begin + _ROWS, CALLS + 1))
            connection.execute(insert(CASES), [_case(one, 1 + one % jobs) for one in numbers])
            connection.execute(insert(REVIEW_CASES), [_reviewed(one, chance) for one in numbers])
            rows = [_finding(one, name) for one in numbers for name in _ELEMENTS]
            connection.execute(insert(REVIEW_FINDINGS), rows)


def _job(number: int) -> dict[str, Any]:
    return {
        "seq": number,
        "id": f"job-{number}",
        "owner": "",
        "request_sha256": "a",
        "options": "{}",
        "metadata": "{}",
        "created_at": 1.7e9,
        "cases": 100,
        "priority": 5,
    }


def _case(number: int, job: int) -> dict[str, Any]:
    return {
        "seq": number,
        "id": f"case-{number}",
        "job_seq": job,
        "name": f"통화-{number}.wav",
        "bytes": 1,
        "state": "done",
        "priority": 5,
        "tries": 1,
        "not_before": 0.0,
        "received_at": 1.7e9 + number,
        "ended_at": 1.7e9 + number,
        "audio_sec": 300.0,
    }


def _reviewed(number: int, chance: random.Random) -> dict[str, Any]:
    return {
        "case_seq": number,
        "revision": 1,
        "rank": round(chance.uniform(2, 5), 6),
        "degraded": number % 20 == 0,
        "warnings": number % 3,
        "state": chance.choice(("open", "open", "second", "settled")),
        "wanted": FINDINGS,
        "received_at": 1.7e9 + number,
        "week": 2800 + number // 2000,
        "agent": f"A-{number % 300}",
        "product": ("ELS", "펀드", "예금")[number % 3],
    }


def _finding(number: int, element: str) -> dict[str, Any]:
    return {
        "case_seq": number,
        "element": element,
        "kind": "prohibited",
        "status": ("violated", "undetermined")[number % 2],
        "wanted": True,
        "state": "open",
    }


def measure_list(folder: Path) -> dict[str, float]:
    """Return how long the list takes, and its slower filters."""
    open_store(folder).close()
    database = Database(folder / "cases.db")
    fill_list(database)
    database.close()
    asked = {
        "list": "",
        "list of a state": "?state=second",
        "list of an element": f"?element={_ELEMENTS[3]}",
        "list of an agent": "?agent=A-17",
        "list of a page far behind": "?after=2.5,50000",
    }
    with api_server(folder, ready=False, **PAGE) as server, logged_in(server) as client:
        found: dict[str, float] = {}
        for name, query in asked.items():
            before = _processor_ms(server)
            found[f"{name} p95"] = _p95(client, f"/review{query}")
            found[f"{name}, of a core"] = (_processor_ms(server) - before) / _ASKED
        return found


def _processor_ms(server: ApiServer) -> float:
    """Return what the server's process has taken of a core: other work does not change it."""
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system) * 1000


@contextmanager
def logged_in(server: ApiServer) -> Iterator[httpx2.Client]:
    """Return a client with a reviewer's session."""
    headers = {"Sec-Fetch-Site": "same-origin"}
    with httpx2.Client(
        base_url=server.base, trust_env=False, timeout=60, headers=headers
    ) as client:
        client.post("/review/login", data={"demo": "demo-reviewer-1"})
        yield client


def _p95(client: httpx2.Client, path: str) -> float:
    took = []
    for _ in range(_ASKED):
        began = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
        assert "case-" in answer.text
    return float(np.percentile(took, 95))


@contextmanager
def tab(server: ApiServer) -> Iterator[Any]:
    """Open a page in Chromium as a reviewer."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of make test-web alone

    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    switches = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=switches)
        found = browser.new_context(locale="ko-KR", viewport={"width": 1440, "height": 900})
        page = found.new_page()
        page.set_default_timeout(180_000)
        page.goto(f"{server.base}/review")
        page.get_by_role("button", name="demo-reviewer-1").click()
        page.wait_for_url("**/review")
        yield page
        browser.close()


_SCROLL = """async (steps) => {
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < steps; step += 1) {
    scrollBy(0, 240);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""
_PAINTED = """() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"""
_ALL = f"document.querySelectorAll('.sentences li').length === {SENTENCES}"


def measure_text(folder: Path) -> dict[str, float]:
    """Return when a long call is read, and how it is scrolled."""
    store, recordings = open_store(folder), RecordingFolder(folder / "recordings", 10**10, 0)
    case = add_case(store, recordings, "long.wav", long_result(SENTENCES))
    store.close()
    with api_server(folder, ready=False, **PAGE) as server, tab(server) as page:
        url, found = f"{server.base}/review/cases/{case}", {}
        for name in ("the first time, ", ""):
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(url, wait_until="commit")
            until(page, f"({_PAINTED})()")
            found[f"{name}first sentences painted"] = page.evaluate(_PAINTED)
            until(page, _ALL)
            found[f"{name}all sentences there"] = (time.perf_counter() - began) * 1000
        frames = page.evaluate(_SCROLL, _SCROLLS)
        found["frame while scrolling p50"] = float(np.percentile(frames, 50))
        found["slowest frame in twenty while scrolling"] = float(np.percentile(frames, 95))
        return found


_SEEK = """async (at) => {
  const audio = document.getElementById('audio');
  audio.pause();
  const began = performance.now();
  audio.currentTime = at;
  await audio.play();
  while (audio.seeking || audio.currentTime <= at) await new Promise((go) => setTimeout(go, 1));
  return performance.now() - began;
}"""
_LANE_HAS_TONE = """async ([from, loud]) => {
  const raw = new Uint8Array(await (await fetch(`${location.pathname}/peaks`)).arrayBuffer());
  const end = raw.indexOf(10);
  const [, bins, seconds] = new TextDecoder().decode(raw.subarray(0, end)).split(' ').map(Number);
  const first = Math.floor((from / seconds) * bins);
  const at = raw.subarray(end + 1 + first, end + 1 + bins).findIndex((one) => one >= loud);
  return ((first + at) / bins) * seconds;
}"""
_HEARS_TONE = """async (from) => {
  const audio = document.getElementById('audio');
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 256;
  context.createMediaElementSource(audio).connect(analyser);
  await context.resume();
  audio.currentTime = from;
  await audio.play();
  const block = new Float32Array(256);
  for (;;) {
    await new Promise((go) => setTimeout(go, 1));
    analyser.getFloatTimeDomainData(block);
    if (block.some((one) => Math.abs(one) > 0.2)) break;
  }
  const heard = audio.currentTime;
  audio.pause();
  return heard;
}"""


def long_recording() -> bytes:
    """Two hours of noise on two channels, with one tone."""
    rate, raw = 8000, BytesIO()
    chance = np.random.default_rng(7)
    minute = chance.integers(-60, 60, (rate * 60, 2), dtype="<i2")
    tone = np.zeros_like(minute)
    at = np.arange(rate * 2)
    begin = int(TONE_AT_SEC % 60) * rate
    tone[begin : begin + len(at), :] = (16_000 * np.sin(at / rate * 2 * np.pi * 440))[:, None]
    with wave.open(raw, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(rate)
        for number in range(int(HOURS * 60)):
            here = number == TONE_AT_SEC // 60
            out.writeframes((minute + tone if here else minute).astype("<i2").tobytes())
    return raw.getvalue()


def measure_sound(folder: Path) -> dict[str, float]:
    """Return how soon a long recording plays from anywhere, and whether its lanes are in step."""
    store, recordings = open_store(folder), RecordingFolder(folder / "recordings", 10**10, 0)
    case = add_case(store, recordings, "long.wav", long_result(SENTENCES), long_recording())
    store.close()
    chance = random.Random(7)
    with api_server(folder, ready=False, **PAGE) as server, tab(server) as page:
        began = time.perf_counter()
        page.goto(f"{server.base}/review/cases/{case}")
        until(page, "document.getElementById('audio').readyState > 0")
        until(page, "document.getElementById('sound-state').textContent === ''")
        found = {"prepared for the first listener": (time.perf_counter() - began) * 1000}
        places = [chance.uniform(0, HOURS * 3600 - 60) for _ in range(_SEEKS)]
        took = [page.evaluate(_SEEK, place) for place in places]
        found["plays from anywhere p50"] = float(np.percentile(took, 50))
        found["plays from anywhere p95"] = float(np.percentile(took, 95))
        shown = page.evaluate(_LANE_HAS_TONE, [TONE_AT_SEC - 5, 128])
        heard = page.evaluate(_HEARS_TONE, TONE_AT_SEC - 2)
        found["lanes show the tone late by"] = (shown - TONE_AT_SEC) * 1000
        found["the tone is heard late by"] = (heard - TONE_AT_SEC) * 1000
        found["lanes and sound apart at the end"] = abs(heard - shown) * 1000
        return found


def until(page: Any, script: str) -> None:  # noqa: ANN401 - Playwright is not installed
    """Wait until an expression is true; the page's policy lets nobody ask it from within."""
    while not page.evaluate(script):
        page.wait_for_timeout(5)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("list", "text", "sound"))
    only = parser.parse_args().only
    found: dict[str, float] = {}
    for name, measure in (
        ("list", measure_list),
        ("text", measure_text),
        ("sound", measure_sound),
    ):
        if only in {None, name}:
            with tempfile.TemporaryDirectory() as folder:
                found |= measure(Path(folder))
    print(json.dumps({name: round(ms, 1) for name, ms in found.items()}, indent=2))
    beyond = {name for name, bound in BOUNDS_MS.items() if found.get(name, 0.0) > bound}
    for name in sorted(beyond):
        print(f"beyond its bound of {BOUNDS_MS[name]:g} ms: {name}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
