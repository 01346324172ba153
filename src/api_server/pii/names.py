"""Names of files: as personal as the call, so they are cut and masked like its text."""

from __future__ import annotations

from api_server.pii.redaction import RedactionFailed, redact
from stt_engine.shown import LONGEST, shorten
from stt_engine.speech import Segment

WITHHELD = "(이름 비공개)"


def mask_name(text: str, longest: int = LONGEST) -> str:
    """Return a name, or a message with one in it, cut and without personal data."""
    try:
        (masked,) = redact([Segment(0, 0.0, 0.0, shorten(text, longest))]).segments
    except RedactionFailed:
        return WITHHELD
    return masked.text
