"""Agent and customer where voices gave them: people may exchange the two. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api_server.store.decisions import DecisionRecord
from stt_engine.speech import Segment


@dataclass(frozen=True, slots=True)
class RolesView:
    """What the page shows of the roles.

    ``by_voice``: they come from voices, and may be exchanged; ``swap``: the last exchange, by which
    this answer was judged; ``swapped``: they are not as the voices gave them.
    """

    by_voice: bool
    swap: DecisionRecord | None
    swapped: bool


def roles_view(
    segments: Sequence[Segment], decisions: Sequence[DecisionRecord], revision: int
) -> RolesView:
    """Return it for an answer's segments and all decisions on its call."""
    swaps = [one for one in decisions if one.action == "swap_roles" and one.revision < revision]
    by_voice = any(one.speaker and one.speaker_source == "diarisation" for one in segments)
    return RolesView(by_voice, swaps[-1] if swaps else None, len(swaps) % 2 == 1)
