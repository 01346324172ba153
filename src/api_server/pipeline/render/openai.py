"""A transcript in the shapes of OpenAI's audio API, and beside them what those have no room for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from string import ascii_uppercase
from typing import Any, cast

from stt_engine.languages import english_name
from stt_engine.model_store.installed import name_at
from stt_engine.speech import Segment, Transcript
from stt_engine.warnings import AnswerWarning, warning

JsonObject = dict[str, Any]

NOBODY = "unknown"
"""The speaker of words whose speaker nobody knows: the shape wants a name."""

NOT_GIVEN: JsonObject = {"seek": 0, "tokens": [], "no_speech_prob": 0.0}
"""Fields of a segment that its shape demands and that nothing here measures, at rest."""


def json_answer(transcript: Transcript) -> JsonObject:
    """Return the shape of ``json``."""
    return {
        "text": transcript.text,
        **_languages(transcript),
        "usage": _usage(transcript),
        "stt_engine": beside(transcript),
    }


def verbose_json(
    transcript: Transcript,
    granularities: Collection[str] = (),
    task: str = "transcribe",
    temperature: float = 0.0,
) -> JsonObject:
    """Return the shape of ``verbose_json`` with times of ``segment`` (default), ``word``, or both.

    Text is as it was spoken; languages are named in English, as there.
    """
    answer = {
        "task": task,
        "language": english_name(transcript.language),
        "duration": transcript.duration,
        "text": transcript.text,
        **_languages(transcript),
        "usage": _usage(transcript),
        "stt_engine": {**beside(transcript), "not_given": [*NOT_GIVEN, *_without(transcript)]},
    }
    if "word" in granularities:
        answer["words"] = list(_words(transcript))
    if "segment" in granularities or not granularities:
        answer["segments"] = [_segment(one, temperature) for one in transcript.segments]
    return answer


def diarized_json(transcript: Transcript, names: Collection[str] = ()) -> JsonObject:
    """Return the shape of ``diarized_json``; a speaker is ``agent``, ``customer`` or unknown.

    ``names`` are those of voices that were looked for: whoever is found has their name, and nobody
    else has one of them. Where several voices were told apart, one with neither name nor role has
    a letter, as at OpenAI.
    """
    letters = _letters(transcript, names)
    return {
        "task": "transcribe",
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": [
            _turn(one, names, letters.get(_voice(one), NOBODY)) for one in transcript.segments
        ],
        "usage": _usage(transcript),
        "stt_engine": {**beside(transcript), **_known(transcript, names)},
    }


def _known(transcript: Transcript, names: Collection[str]) -> JsonObject:
    """Return what came of the voices that were looked for, where there were some."""
    facts = cast("JsonObject", transcript.provenance.get("speakers") or {})
    known = facts.get("known", {"reason": facts.get("reason"), "named": []})
    told = [one for one in known["named"] if one["name"] in names]
    return {"known_speakers": {**known, "named": told}} if names else {}


def done_event(transcript: Transcript) -> JsonObject:
    """Return the event that ends a stream; its ``usage`` could only count tokens."""
    return {
        "type": "transcript.text.done",
        "text": transcript.text,
        **_languages(transcript),
        "stt_engine": {**beside(transcript), "duration": transcript.duration},
    }


def english_json(transcript: Transcript) -> JsonObject:
    """Return the shape of a translation as ``json``."""
    return {"text": transcript.text_en, "stt_engine": beside(transcript)}


def beside(transcript: Transcript) -> JsonObject:
    """Return what a reader has to know beside the text: how much of the call it is."""
    told = transcript.provenance
    return {
        "outcome": transcript.outcome,
        "model": name_at(Path(str(told["model"]))) if "model" in told else None,
        "coverage": transcript.coverage.as_data() if transcript.coverage else None,
        "warnings": [asdict(one) for one in warnings_of(transcript)],
        **{name: told[name] for name in ("hints", "temperature") if name in told},
    }


def warnings_of(transcript: Transcript) -> tuple[AnswerWarning, ...]:
    """Return the warnings; of silence too, which these shapes would pass over."""
    if transcript.outcome != "no_speech":
        return transcript.warnings
    silent = warning("no_speech", f"{transcript.duration:.1f} s without speech")
    return (silent, *transcript.warnings)


def _languages(transcript: Transcript) -> JsonObject:
    known = transcript.outcome == "speech" and transcript.language != "auto"
    return {"languages": [{"code": transcript.language}]} if known else {}


def _usage(transcript: Transcript) -> JsonObject:
    return {"type": "duration", "seconds": round(transcript.duration, 3)}


def _segment(one: Segment, temperature: float) -> JsonObject:
    raw = one.text.encode()
    return {
        **NOT_GIVEN,
        "id": one.id,
        "start": one.start,
        "end": one.end,
        "text": one.text,
        "temperature": temperature,
        "avg_logprob": math.log(one.confidence) if one.confidence else 0.0,
        "compression_ratio": round(len(raw) / len(zlib.compress(raw)), 3),
        "channel": one.channel,
        "speaker": one.speaker,
    }


def _without(transcript: Transcript) -> list[str]:
    """Return the one measure that not every backend gives, where it is missing."""
    return [] if all(one.confidence for one in transcript.segments) else ["avg_logprob"]


def _words(transcript: Transcript) -> Iterator[JsonObject]:
    for segment in transcript.segments:
        for one in segment.words or ():
            yield {"word": one.word.strip(), "start": one.start, "end": one.end}


def _voice(one: Segment) -> tuple[int, int | None]:
    return one.channel, one.voice


def _letters(transcript: Transcript, names: Collection[str]) -> dict[tuple[int, int | None], str]:
    """Return a letter for each voice, in the order in which they begin; none for one alone."""
    voices = dict.fromkeys(_voice(one) for one in transcript.segments if one.voice is not None)
    letters = [one for one in ascii_uppercase if one not in names]
    return dict(zip(voices, letters, strict=False)) if len(voices) > 1 else {}


def _turn(one: Segment, names: Collection[str], otherwise: str) -> JsonObject:
    role = None if one.speaker in names else one.speaker
    speaker = one.speaker_name if one.speaker_name in names else role
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{one.id}",
        "start": one.start,
        "end": one.end,
        "speaker": speaker or otherwise,
        "text": one.text,
    }
