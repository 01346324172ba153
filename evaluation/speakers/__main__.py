"""``make eval-speakers``: made mono calls with voices that nothing was tuned to, and the account.

    python -m evaluation.speakers FOLDER... [--tuning] [--calls 6] [--seconds 75] [--music FOLDER]
                                  [--peer NAME=PYTHON]...

A folder holds a sub-folder of recordings for each voice, or recordings whose names begin with their
voice. Every second voice in alphabetical order was used for tuning; ``--tuning`` measures those.
Music on hold is made, and of every second call it is from ``--music``, if that is given.
``--peer`` has the same calls diarised by another program too (``resemblyzer``, ``senko``), with the
Python of an environment where that is installed. Peers know no certainty: they name every word.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from evaluation.speakers.calls import CONDITIONS, Call, make_call, make_calls
from evaluation.speakers.peers import NAMES, running
from evaluation.speakers.score import Score, calibration, score, spans_of
from evaluation.speakers.voices import Samples, Voice, read_voices
from stt_engine.backends.voices.model import operations
from stt_engine.limits import Limits
from stt_engine.recognition.diarisation import Diarisation
from stt_engine.voice_messages import DiariseResult

_LEAST_SEC = 9.0
_HEAD = (
    "condition        calls  wrong words  unknown  wrong time  turns wrong  voices right  "
    "others named"
)
_LONG_SEC = 600.0


def main() -> None:
    """Make the calls, and print what became of them."""
    given = _arguments()
    chosen = _voices(given.folders, tuning=given.tuning)
    print(f"voices: {', '.join(one.name for one in chosen)}")
    calls = list(make_calls(chosen, given.calls, given.seconds, _music(given)))
    diarise = _Diariser()
    total = _print_scores(calls, diarise)
    print("certainty   words   says  right")
    for band, words, says, right in calibration(total.certain):
        print(f"{band:10} {words:6}  {says:.3f}  {right:.3f}")
    _print_cost(chosen, diarise)
    for name, python in given.peer:
        with running(name, python) as peer:
            print(f"\n{name}")
            _print_scores(calls, peer)
            seconds = sum(call.seconds for call in calls)
            print(f"{peer.cpu_sec / seconds:.4f} s of a core for each second of a call")


def _print_scores(calls: Sequence[Call], diarise: Callable[[Call], DiariseResult]) -> Score:
    """Print a row for each condition; return the sum over the calls of two voices."""
    kept = {condition.name: Score() for condition in CONDITIONS}
    for call in calls:
        kept[call.name].add(score(call, diarise(call)))
    print(_HEAD)
    for name, one in kept.items():
        print(_row(name, one))
    total = Score()
    for condition in CONDITIONS:
        if condition.voices == 2:
            total.add(kept[condition.name])
    print(_row("all of two", total))
    return total


def _peer(value: str) -> tuple[str, str]:
    name, _, python = value.partition("=")
    if name not in NAMES or not python:
        raise argparse.ArgumentTypeError(f"give NAME=PYTHON; names are {', '.join(NAMES)}")
    return name, python


def _voices(folders: Sequence[Path], *, tuning: bool) -> list[Voice]:
    found = [one for folder in folders for one in read_voices(folder)]
    found = sorted((one for one in found if one.seconds >= _LEAST_SEC), key=lambda one: one.name)
    chosen = found[::2] if tuning else found[1::2]
    if len(chosen) < 3:
        raise SystemExit("three voices or more are needed, of nine seconds each")
    return chosen


def _music(given: argparse.Namespace) -> list[Samples]:
    """Return the recordings of music; of those, too, every second one is for tuning."""
    if given.music is None:
        return []
    (*found,) = (one for voice in read_voices(given.music) for one in voice.utterances)
    return found[::2] if given.tuning else found[1::2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluation.speakers", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--music", type=Path)
    parser.add_argument("--calls", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--peer", type=_peer, action="append", default=[], metavar="NAME=PYTHON")
    return parser.parse_args()


class _Diariser:
    """The product's own child operation, in this process."""

    def __init__(self) -> None:
        self._run = operations(lambda _numbers: None)["diarise"]
        self._weights = Diarisation("auto", Limits()).weights()

    def __call__(self, call: Call) -> DiariseResult:
        """Return who speaks in a call."""
        with tempfile.NamedTemporaryFile(suffix=".s16le") as file:
            loud = call.samples / np.abs(call.samples).max() * 20_000
            file.write(loud.astype("<i2").tobytes())
            file.flush()
            steps = self._run(
                {
                    "operation": "diarise",
                    "weights": str(self._weights),
                    "file": file.name,
                    "spans": spans_of(call),
                    "narrow": False,
                }
            )
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    found: DiariseResult = end.value
                    return found


def _row(name: str, one: Score) -> str:
    counted = f"{one.count_right}/{one.calls}"
    others = f"{one.others_named_sec / one.others_sec:12.3f}" if one.others_sec else ""
    if not one.words:
        return f"{name:16} {one.calls:5}  {'':11}  {'':7}  {'':10}  {'':11}  {counted:>12}"
    time_share = one.confused_sec / max(1e-9, one.speech_sec)
    return (
        f"{name:16} {one.calls:5}  {one.wrong / one.words:11.3f}  {one.unknown / one.words:7.3f}  "
        f"{time_share:10.3f}  {f'{one.turns_wrong}/{one.turns}':>11}  {counted:>12}  {others}"
    )


def _print_cost(voices: Sequence[Voice], diarise: _Diariser) -> None:
    """Print what a call of ten minutes takes."""
    call = make_call(CONDITIONS[0], tuple(voices[:2]), _LONG_SEC, 1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    diarise(call)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"a call of {call.seconds:.0f} s took {took:.1f} s and {cpu:.1f} s of a core:")
    print(f"real-time factor {took / call.seconds:.4f}, {cpu / call.seconds:.4f} on one core")


if __name__ == "__main__":
    main()
