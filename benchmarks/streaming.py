"""What a stream of the answer costs beside an answer at once, and when its first words come.

``python benchmarks/streaming.py [--minutes M] [--rounds N] [--hours H] [--channels 2] [--json]``

One server transcribes the same call at once and as a stream, by turns. Cost is CPU time of the
server and its child processes, which other work on the machine does not change as it does the
clock; the clock's is told beside it. Then a call of ``--hours`` is begun as a stream, again and
again, for its first words (``--hours 0``: not). On two channels people talk by turns. `make bench`
has both as lines (``--only stream``).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.recordings import CLIP
from stt_engine.speech import SAMPLE_RATE
from tests.support.server import ApiServer
from tests.support.sounds import repeated

MOST_COST = 0.03
FIRST_WORDS_SEC = 3.0
LONG_ROUNDS = 3
_PATH = "/v1/audio/transcriptions"


def of_length(seconds: float, channels: int = 1) -> bytes:
    """Return a call of about so many seconds: a clip, and a pause, again and again."""
    clip = CLIP.read_bytes()
    each = (len(repeated(clip, 20)) - len(repeated(clip, 10))) / 10 / (2 * SAMPLE_RATE)
    call = repeated(clip, max(1, round(seconds / each)))
    return call if channels == 1 else by_turns(call, each / channels, channels)


def by_turns(call: bytes, later_sec: float, channels: int) -> bytes:
    """Return a call of several channels, on each of which the same is said so much later."""
    raw = io.BytesIO()
    with wave.open(io.BytesIO(call)) as source, wave.open(raw, "wb") as out:
        mono = np.frombuffer(source.readframes(source.getnframes()), "<i2")
        later = round(later_sec * source.getframerate())
        out.setparams(source.getparams())
        out.setnchannels(channels)
        turns = [np.roll(mono, one * later) for one in range(channels)]
        out.writeframes(np.stack(turns, axis=1).tobytes())
    return raw.getvalue()


def cpu_sec(pid: int) -> float:
    """Return the CPU seconds that a server and its children have used."""
    own = psutil.Process(pid)
    times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def ask(
    client: httpx2.Client, recording: bytes, *, stream: bool, leave: bool = False
) -> tuple[float | None, float, int]:
    """Return the seconds to the first words (of a stream) and to the end, and the events.

    ``leave``: hang up after the first words.
    """
    form = {"model": "whisper-1", "language": "en", "stream": str(stream).lower()}
    files = {"file": ("call.wav", recording)}
    began, first, events, ended = time.perf_counter(), None, 0, not stream
    with client.stream("POST", _PATH, data=form, files=files) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if stream and line.startswith("data: "):
                first = time.perf_counter() - began if first is None else first
                events, ended = events + 1, line.endswith("[DONE]")
                if leave:
                    return first, time.perf_counter() - began, events
    if not ended:
        raise SystemExit("the stream ended before its end")
    return first, time.perf_counter() - began, events


def quiet(client: httpx2.Client) -> None:
    """Wait until a server has no work left, as one has that was hung up on."""
    while True:
        parts = client.get("/health").json()["components"]
        if next(one for one in parts if one["name"] == "queue")["audio_sec"] == 0:
            return
        time.sleep(0.05)


def measure(
    base: str, pid: int, minutes: float, rounds: int, hours: float, channels: int = 1
) -> dict[str, Any]:
    """Measure by turns, then the long call."""
    call = of_length(minutes * 60, channels)
    spent: dict[bool, list[float]] = {False: [], True: []}
    clock: dict[bool, list[float]] = {False: [], True: []}
    firsts: list[float] = []
    longs: list[dict[str, float]] = []
    with httpx2.Client(base_url=base, trust_env=False, timeout=3600) as client:
        ask(client, call, stream=True)  # once for nothing: libraries warm up
        for number in range(rounds):
            for stream in (bool(number % 2), not number % 2):
                before = cpu_sec(pid)
                first, took, _ = ask(client, call, stream=stream)
                spent[stream].append(cpu_sec(pid) - before)
                clock[stream].append(took)
                firsts += [] if first is None else [first]
        hour = of_length(hours * 3600, channels)
        for _ in range(LONG_ROUNDS if hours else 0):
            quiet(client)
            load, before = os.getloadavg()[0], cpu_sec(pid)
            first, _, _ = ask(client, hour, stream=True, leave=True)
            used = cpu_sec(pid) - before
            longs.append({"first_sec": first or 0.0, "cpu_sec": used, "load": load})
    cpu = {name: statistics.median(found) for name, found in spent.items()}
    wall = {name: statistics.median(found) for name, found in clock.items()}
    return {
        "minutes": minutes,
        "channels": channels,
        "rounds": rounds,
        "cpu_sec": [round(cpu[False], 2), round(cpu[True], 2)],
        "cost": round(cpu[True] / cpu[False] - 1, 4),
        "clock_sec": [round(wall[False], 2), round(wall[True], 2)],
        "clock_cost": round(wall[True] / wall[False] - 1, 4),
        "first_words_sec": round(statistics.median(firsts), 2),
        "hours": hours,
        "first_words_of_long_sec": round(
            statistics.median([one["first_sec"] for one in longs] or [0.0]), 2
        ),
        "long": [{name: round(value, 2) for name, value in one.items()} for one in longs],
    }


def main() -> None:
    """Start a server, measure, print; exit code 1 where a bound was not held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ApiServer(Path(folder), ready_proof_sec=7200.0)
        try:
            server.wait_ready()
            found = measure(
                server.base,
                server.process.pid,
                options.minutes,
                options.rounds,
                options.hours,
                options.channels,
            )
        finally:
            server.kill()
    print(json.dumps(found) if options.json else "\n".join(f"{k}: {v}" for k, v in found.items()))
    held = found["cost"] < MOST_COST and found["first_words_of_long_sec"] < FIRST_WORDS_SEC
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
