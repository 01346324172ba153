"""Every format of a transcript by its name, as text."""

from __future__ import annotations

import json
from dataclasses import replace

from api_server.pipeline.render import openai
from api_server.pipeline.render.subtitles import SUBTITLES
from stt_engine.speech import Segment, Transcript

VERBOSE_JSON, DIARIZED_JSON = "verbose_json", "diarized_json"
WORD, SEGMENT = "word", "segment"

TEXT_FORMATS = (*SUBTITLES, VERBOSE_JSON, DIARIZED_JSON)
"""The names: the words alone, subtitles, and OpenAI's shapes with times."""

FORMATS = ("json", *TEXT_FORMATS)
"""What ``response_format`` may be; the first is what it is by default."""


def transcript_text(name: str, transcript: Transcript) -> str:
    """Return a transcript in one of :data:`TEXT_FORMATS`.

    Raises:
        KeyError: there is no such format.
    """
    if name == VERBOSE_JSON:
        timed = any(one.words for one in transcript.segments)
        return _json(openai.verbose_json(transcript, {SEGMENT, *([WORD] if timed else [])}))
    if name == DIARIZED_JSON:
        return _json(openai.diarized_json(transcript))
    return SUBTITLES[name](transcript)


def english_of(transcript: Transcript) -> Transcript:
    """Return the translation as a transcript of its own, for every format.

    Where another server gave none of its times, they are those of the whole recording.
    """
    text, whole = transcript.text_en, Segment(0, 0.0, transcript.duration, transcript.text_en)
    segments = transcript.segments_en or ((whole,) if text else ())
    outcome = transcript.outcome if text else "no_speech"
    return replace(transcript, text=text, segments=segments, language="en", outcome=outcome)


def _json(answer: openai.JsonObject) -> str:
    return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"
