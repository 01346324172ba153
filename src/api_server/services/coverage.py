"""How much of what was spoken is in the transcript: absence may be stated only of a whole call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stt_engine.speech import Transcript

MIN_COVERAGE = 0.9
"""Share of the seconds of speech that has to be text before something is said to be absent.

Below 1, since a breath or a cough can pass for speech and has no words.
"""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Recognised seconds of speech over detected ones, 0 to 1, by speaker.

    Where speakers are not known both are the same. A transcript that somebody else made is taken
    as whole.
    """

    agent: float = 1.0
    customer: float = 1.0
    lost: bool = False
    """Something was heard and had to be rejected: a notice may have been there."""

    def suffices(self, said_by: Literal["agent", "any"]) -> bool:
        """Tell whether what nobody (or only no agent) said can be known from the transcript."""
        least = self.agent if said_by == "agent" else min(self.agent, self.customer)
        return least >= MIN_COVERAGE and not self.lost


WHOLE = Coverage()
NOTHING = Coverage(0.0, 0.0)


class _Channel(BaseModel):
    channel: int
    speech_sec: float = Field(ge=0, allow_inf_nan=False)
    recognised_sec: float = Field(ge=0, allow_inf_nan=False)

    @property
    def share(self) -> float:
        return min(1.0, self.recognised_sec / self.speech_sec) if self.speech_sec else 1.0


_CHANNELS = TypeAdapter(list[_Channel])


def coverage_of(heard: Transcript, agent_channel: int) -> Coverage:
    """Give a transcript's coverage from its provenance; one that does not tell it has none."""
    try:
        told = _CHANNELS.validate_python(heard.provenance.get("coverage"))
    except ValidationError:  # another server's provenance can be anything
        return NOTHING
    if heard.outcome != "speech" or not told:
        return NOTHING
    many = len(told) > 1 or heard.provenance.get("channels") not in {None, 1}
    agent = [one.share for one in told if one.channel == agent_channel or not many]
    others = [one.share for one in told if one.channel != agent_channel or not many]
    lost = bool(heard.provenance.get("rejected_segments"))
    return Coverage(min(agent, default=1.0), min(others, default=1.0), lost)
