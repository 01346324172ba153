"""The language of a recording beside the one it was transcribed in: what the answer says of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from stt_engine.protocol import LanguageFacts, Provenance
from stt_engine.warnings import AnswerWarning, warning

_MOST_NAMED = 5


def language_runs(found: Sequence[LanguageFacts]) -> list[Provenance]:
    """Return one entry for each run of parts in one language of a channel.

    Probabilities are means of the parts, by their seconds of voice.
    """
    ordered = sorted(found, key=lambda one: (one["channel"], one["start"]))
    runs = groupby(ordered, key=lambda one: (one["channel"], one["language"], one["other"]))
    return [_run(list(parts)) for _, parts in runs]


def _run(parts: list[LanguageFacts]) -> Provenance:
    voice = sum(one["speech_sec"] for one in parts)
    sums = [
        sum(one["speech_sec"] * chance for one, chance in zip(parts, chances, strict=True))
        for chances in (
            [one["probability"] for one in parts],
            [one["asked_probability"] for one in parts],
        )
    ]
    return {
        "channel": parts[0]["channel"],
        "start": parts[0]["start"],
        "end": max(one["end"] for one in parts),
        "speech_sec": round(voice, 3),
        "language": parts[0]["language"],
        "probability": round(sums[0] / voice, 4),
        "asked_probability": round(sums[1] / voice, 4),
    }


def language_warnings(found: Sequence[LanguageFacts], asked: str) -> list[AnswerWarning]:
    """Return the warning there is, if any.

    ``language_mismatch``: most of what was checked is not in the language that it was transcribed
    in; ``language_changes``: some of it.
    """
    others = [one for one in found if one["other"]]
    if not others:
        return []
    checked, foreign = (sum(one["speech_sec"] for one in parts) for parts in (found, others))
    code = "language_mismatch" if 2 * foreign >= checked else "language_changes"
    named = [
        f"channel {run['channel']}, {run['start']} to {run['end']} s: {run['language']} "
        f"{run['probability']}, {asked} {run['asked_probability']}"
        for run in language_runs(others)
    ]
    more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    detail = (
        f"transcribed as {asked}; {foreign:.1f} of {checked:.1f} s of speech that were checked "
        f"are not ({'; '.join(named[:_MOST_NAMED] + more)})"
    )
    return [warning(code, detail)]
