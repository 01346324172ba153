"""Fits what agents and customers say to the labelled dialogues, and measures it on others.

``python -m evaluation.speakers.roles [--write]``: pieces of two to four letters that one of the two
says more often, with a weight each (logistic regression over utterances). Fitted to the writers
``a`` to ``h``, tempered on ``i`` and ``j``, measured on ``k`` and ``l``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from evaluation.dialogues import FOLDER
from stt_engine.recognition.roles import PHRASES, folded, read_phrases, roles_of
from stt_engine.speech import Segment

_KEPT, _FEWEST, _ROUNDS, _STEP, _SHRINK = 400, 25, 300, 2.0, 2e-4
_SIZES = (2, 3, 4)

Turns = list[tuple[str, str]]


def dialogues(writers: str) -> Iterator[Turns]:
    """Yield the turns (speaker, text) of every dialogue of some writers."""
    for writer in writers:
        for line in (FOLDER / f"{writer}.jsonl").read_text("utf-8").splitlines():
            yield [(speaker, text) for speaker, text in json.loads(line)["turns"]]


def _grams(text: str) -> set[str]:
    letters = folded(text)
    return {letters[at : at + n] for n in _SIZES for at in range(len(letters) - n + 1)}


def fit(turns: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return a weight for each piece; positive where an agent says it."""
    grams = [_grams(text) for _, text in turns]
    agent = np.array([speaker == "agent" for speaker, _ in turns])
    counts = [
        Counter(chain.from_iterable(g for g, a in zip(grams, agent, strict=True) if a == who))
        for who in (0, 1)
    ]
    shares = agent.mean()
    strength = {
        piece: abs(counts[1][piece] - shares * total) / np.sqrt(total)
        for piece in counts[0].keys() | counts[1].keys()
        if (total := counts[0][piece] + counts[1][piece]) >= _FEWEST
    }
    kept = sorted(strength, key=lambda piece: (-strength[piece], piece))[:_KEPT]
    said = np.array([[piece in one for piece in kept] for one in grams], np.float32)
    weights, bias = np.zeros(len(kept)), 0.0
    balance = np.where(agent, 0.5 / agent.mean(), 0.5 / (1 - agent.mean()))
    for _ in range(_ROUNDS):
        wrong = (1 / (1 + np.exp(-(said @ weights + bias))) - agent) * balance
        weights -= _STEP * (said.T @ wrong / len(agent) + _SHRINK * weights)
        bias -= _STEP * wrong.mean()
    return {
        piece: round(float(one), 3)
        for piece, one in zip(kept, weights, strict=True)
        if abs(one) >= 0.05
    }


def measure(writers: str) -> list[tuple[float, bool]]:
    """Return for each dialogue how certain its roles are, and whether they are the right ones."""
    found = []
    for number, turns in enumerate(dialogues(writers)):
        first = number % 2  # neither who speaks first nor a number says who somebody is
        segments = [
            Segment(
                at,
                at * 3.0,
                at * 3.0 + 2,
                text,
                voice=first ^ (speaker == "customer"),
                speaker_confidence=1.0,
            )
            for at, (speaker, text) in enumerate(turns)
        ]
        roles = roles_of(segments, least=0.5)
        if roles.agent is not None:
            found.append((roles.certainty, roles.agent == first))
    return found


def main() -> None:
    """Fit, and write where asked to; print what the phrases are worth on other writers."""
    if "--write" in sys.argv:
        weights = fit([turn for one in dialogues("abcdefgh") for turn in one])
        text = "".join(f"{piece}\t{weight}\n" for piece, weight in sorted(weights.items()))
        PHRASES.write_text(text, "utf-8")
        read_phrases.cache_clear()
    for writers in ("ij", "kl"):
        found = measure(writers)
        print(f"writers {writers}: {len(found)} dialogues of {sum(1 for _ in dialogues(writers))}")
        for low in (0.5, 0.8, 0.9, 0.95, 0.98):
            claimed = [one for one in found if one[0] >= low]
            right = sum(fits for _, fits in claimed)
            says = sum(sure for sure, _ in claimed) / max(1, len(claimed))
            share = right / max(1, len(claimed))
            print(f"  from {low}: {len(claimed)} claimed, says {says:.3f}, right {share:.4f}")


if __name__ == "__main__":
    main()
