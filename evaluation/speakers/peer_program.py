"""Another diariser on the same calls, in an environment of its own: nothing of the product is here.

    python peer_program.py resemblyzer|senko

Reads a JSON object a line, ``{"wav": file, "spans": [[start, end], ...]}`` with seconds; answers
each with ``{"turns": [[start, end, voice], ...], "cpu_sec": seconds of a core}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

Turns = list[tuple[float, float, str]]
RATE = 16_000


def resemblyzer() -> Callable[[str, list[list[float]]], Turns]:
    """Take embeddings of 1.6 s, eight a second, in two groups; it is told that there are two."""
    import soundfile
    from resemblyzer import VoiceEncoder
    from sklearn.cluster import AgglomerativeClustering

    encoder = VoiceEncoder("cpu", verbose=False)

    def diarise(wav: str, spans: list[list[float]]) -> Turns:
        samples, _ = soundfile.read(wav, dtype="float32")
        _, embeddings, slices = encoder.embed_utterance(samples, return_partials=True, rate=8)
        middles = [(one.start + one.stop) / 2 / RATE for one in slices]
        inside = [n for n, at in enumerate(middles) if any(a <= at <= b for a, b in spans)]
        groups = AgglomerativeClustering(2, metric="cosine", linkage="average")
        names = groups.fit_predict(embeddings[inside])
        half = 1 / 16
        return [
            (middles[n] - half, middles[n] + half, str(name))
            for n, name in zip(inside, names, strict=True)
        ]

    return diarise


def senko() -> Callable[[str, list[list[float]]], Turns]:
    """Have the whole of it, with its own search for speech and for the number of voices."""
    import senko as peer

    diariser = peer.Diarizer(device="cpu", warmup=False, quiet=True)

    def diarise(wav: str, _spans: list[list[float]]) -> Turns:
        found = diariser.diarize(wav, generate_colors=False)
        if found is None:
            return []
        return [(one["start"], one["end"], one["speaker"]) for one in found["raw_segments"]]

    return diarise


def main() -> None:
    """Answer until the lines end; what a library prints goes to the other stream."""
    answers, sys.stdout = sys.stdout, sys.stderr
    diarise = {"resemblyzer": resemblyzer, "senko": senko}[sys.argv[1]]()
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        began = time.process_time()
        turns = diarise(asked["wav"], asked["spans"])
        answer = {"turns": turns, "cpu_sec": time.process_time() - began}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
