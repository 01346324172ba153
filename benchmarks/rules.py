"""What the rule tier costs on a call of one hour: time on one core, and memory.

``python benchmarks/rules.py [--json]``

The call is made of the labelled passages, so that far more of it matches than of a real one.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api_server.compliance.rubric import load_rubric
from api_server.compliance.rules.engine import PatternRules
from evaluation.passages import load
from stt_engine.speech import Segment

SYLLABLES = 20_000
"""Of an hour of talk: some 330 a minute, pauses included."""
_RUNS = 25


def one_hour() -> list[Segment]:
    """Return a call of an hour, passage after passage."""
    call: list[Segment] = []
    syllables = 0
    for segment in cycle([segment for passage in load() for segment in passage.segments]):
        start = len(call) * 3.0
        call.append(replace(segment, id=len(call), start=start, end=start + 2.5))
        syllables += sum(char.isalnum() for char in segment.text)
        if syllables >= SYLLABLES:
            break
    return call


def measured(call: Sequence[Segment]) -> dict[str, Any]:
    """Load the rules and match them; times in ms, memory in MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    rules = PatternRules(load_rubric())
    loaded = time.perf_counter() - began
    times = []
    for _ in range(_RUNS):
        began = time.process_time()
        found = rules.examine(call)
        times.append(time.process_time() - began)
    return {
        "syllables": sum(char.isalnum() for one in call for char in one.text),
        "places_found": sum(len(one.evidence) for one in found.values()),
        "load_ms": round(loaded * 1000),
        "first_ms": round(times[0] * 1000),
        "least_ms": round(min(times) * 1000),
        "median_ms": round(sorted(times)[_RUNS // 2] * 1000),
        "memory_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured(one_hour())
    for key, value in found.items() if not options.json else ():
        print(f"{key:<16}{value}")
    if options.json:
        print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
