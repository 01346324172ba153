"""A transcript as the body of an answer, in any format; what the text cannot say is in the head."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse

from api_server.pipeline.render import openai
from api_server.pipeline.render.formats import transcript_text
from stt_engine.coverage import SpeechCoverage
from stt_engine.speech import Transcript

MEDIA_TYPES = {
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "tsv": "text/tab-separated-values",
    "lrc": "text/plain",
}
"""Of the formats that are no JSON."""


def text_response(name: str, transcript: Transcript) -> Response:
    """Return a transcript in a format; see :func:`transcript_text`."""
    kind = MEDIA_TYPES.get(name, "application/json")
    return Response(transcript_text(name, transcript), headers=head(transcript), media_type=kind)


def json_response(answer: openai.JsonObject, transcript: Transcript) -> Response:
    """Return a transcript in a shape of OpenAI's."""
    return JSONResponse(answer, headers=head(transcript))


def head(transcript: Transcript) -> dict[str, str]:
    """Return what every answer says of the text in its head: text has no other place for it."""
    codes = ",".join(one.code for one in openai.warnings_of(transcript))
    warnings = {"X-STT-Warnings": codes} if codes else {}
    covered = transcript.coverage
    return warnings | ({"X-STT-Coverage": _share(covered)} if covered else {})


def _share(covered: SpeechCoverage) -> str:
    return "unknown" if covered.share is None else f"{covered.share:g}"
