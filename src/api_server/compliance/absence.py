"""The right to say that something was not said: decided here, and nowhere else."""

from __future__ import annotations

from api_server.compliance.coverage import Coverage
from api_server.compliance.findings import Reading, Reason
from api_server.compliance.rubric import Element


def bar_to_absence(element: Element, coverage: Coverage, reading: Reading) -> Reason | None:
    """Return why it cannot be said that ``element`` was not said; ``None`` where it can.

    The recording has to be decoded, its speech to have become text (``coverage``, which the
    ledger of the sound, the recogniser's account and the warnings make up), and all of that text to
    have been read (``reading``).
    """
    if not coverage.is_sufficient(element.said_by):
        return Reason.TRANSCRIPT_DEGRADED
    return None if reading == "proved" else Reason.READING_NOT_PROVED
