"""The share of speech that was transcribed: absence may be reported only of a complete call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stt_engine.coverage import SpeechCoverage, Unheard
from stt_engine.speech import Transcript
from stt_engine.warnings import BARS_ABSENCE, MESSAGES, AnswerWarning

MIN_COVERAGE = 0.9
"""Share of the seconds of speech that has to be transcribed before absence is reported.

Below 1, since a breath or a cough may be detected as speech and has no words.
"""


MAX_UNHEARD_SEC = 0.6
"""Voice without text in one place that is no breath and no cough: a notice may be as short."""

Speaker = Literal["agent", "customer"]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Transcribed seconds of speech over detected ones, 0 to 1, by speaker.

    Both are equal where speakers are not known. A transcript from elsewhere counts as complete.
    """

    agent: float = 1.0
    customer: float = 1.0
    unheard: frozenset[Speaker] = frozenset()
    """Who spoke for :data:`MAX_UNHEARD_SEC` or longer where the transcript has no text."""
    barred_by: frozenset[str] = frozenset()
    """Codes of warnings after which nothing can be said to be absent."""

    def is_sufficient(self, said_by: Literal["agent", "any"]) -> bool:
        """Return whether the transcript can show that nobody (or no agent) said something."""
        least = self.agent if said_by == "agent" else min(self.agent, self.customer)
        gap = "agent" in self.unheard if said_by == "agent" else bool(self.unheard)
        return least >= MIN_COVERAGE and not self.barred_by and not gap


FULL_COVERAGE = Coverage()
NO_COVERAGE = Coverage(0.0, 0.0)


def measure_coverage(transcript: Transcript, agent_channel: int) -> Coverage:
    """Return a transcript's coverage by speaker, or no coverage where nobody counted."""
    told = transcript.coverage
    if transcript.outcome != "speech" or told is None or not told.channels:
        return NO_COVERAGE
    many = len(told.channels) > 1 and all(one.speaker for one in transcript.segments)
    agent = [one.share for one in told.channels if one.channel == agent_channel or not many]
    others = [one.share for one in told.channels if one.channel != agent_channel or not many]
    decoded = told.decoded_share or 0.0  # unknown: of what is missing nothing can be said
    return Coverage(
        decoded * min(agent, default=1.0),
        decoded * min(others, default=1.0),
        frozenset(_unheard_speakers(told, agent_channel, many=many)),
        frozenset(_barring(transcript.warnings)),
    )


def _unheard_speakers(told: SpeechCoverage, agent_channel: int, *, many: bool) -> Iterable[Speaker]:
    for one in told.unheard:
        if not _may_hold_a_statement(one):
            continue
        if one.reason != "no_text" or one.channel is None or not many:  # whose words is unknown
            yield from ("agent", "customer")
        else:
            yield "agent" if one.channel == agent_channel else "customer"


def _may_hold_a_statement(unheard: Unheard) -> bool:
    """Return whether something may have been said there; some reasons have no length to go by."""
    if unheard.reason == "no_text" and unheard.speech_sec is not None:
        return unheard.speech_sec >= MAX_UNHEARD_SEC
    return unheard.reason not in {"damaged", "lost"} or unheard.seconds >= MAX_UNHEARD_SEC


def _barring(warnings: Iterable[AnswerWarning]) -> Iterable[str]:
    """Yield the codes that bar absence; one that is not ours (another server's) does, too."""
    for one in warnings:
        if one.code in BARS_ABSENCE or one.code not in MESSAGES:
            yield one.code
