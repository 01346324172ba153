"""Agent and customer where voices gave them: people may exchange the two. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from api_server.store.decisions import DecisionRecord, is_swapped
from stt_engine.speech import Segment

_OTHER = {"agent": "customer", "customer": "agent"}


@dataclass(frozen=True, slots=True)
class RolesView:
    """What the page shows of the roles.

    ``by_voice``: they come from voices, and may be exchanged; ``swapped``: they are; ``seen``: the
    last exchange that the page knows of.
    """

    by_voice: bool
    swapped: bool
    seen: int


def roles_view(segments: Sequence[Segment], rows: Sequence[DecisionRecord]) -> RolesView:
    """Return it for an answer's segments and the decisions on that answer."""
    swaps = [one for one in rows if one.action == "swap_roles"]
    by_voice = any(one.speaker and one.speaker_source == "diarisation" for one in segments)
    seen = max((one.seq for one in swaps), default=0)
    return RolesView(by_voice, by_voice and is_swapped(swaps), seen)


def with_roles(segments: Sequence[Segment], roles: RolesView) -> Sequence[Segment]:
    """Return the segments with agent and customer as people say that they are."""
    if not roles.swapped:
        return segments
    return [
        replace(one, speaker=_OTHER.get(one.speaker, one.speaker))
        if one.speaker and one.speaker_source == "diarisation"
        else one
        for one in segments
    ]
