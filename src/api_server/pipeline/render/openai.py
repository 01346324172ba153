"""A transcript in the shapes of OpenAI's audio API, and beside them what those have no room for."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

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


def diarized_json(transcript: Transcript) -> JsonObject:
    """Return the shape of ``diarized_json``; a speaker is ``agent``, ``customer`` or unknown."""
    return {
        "task": "transcribe",
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": [_turn(one) for one in transcript.segments],
        "usage": _usage(transcript),
        "stt_engine": beside(transcript),
    }


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


def _turn(one: Segment) -> JsonObject:
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{one.id}",
        "start": one.start,
        "end": one.end,
        "speaker": one.speaker or NOBODY,
        "text": one.text,
    }
