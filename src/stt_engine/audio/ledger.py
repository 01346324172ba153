"""What of a recording was decoded and what was not, as plain data that goes with its samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from stt_engine.coverage import Unheard, UnheardReason, Whole
from stt_engine.warnings import AnswerWarning, warning


@dataclass(slots=True)
class Account:
    """What happened on a track, in seconds from the start of the recording.

    ``scaled``: the least that floating-point samples were multiplied by; ``peak``: the loudest of
    them then.
    """

    unheard: list[tuple[float, float, UnheardReason]] = field(default_factory=list)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    packets: int = 0
    damaged_packets: int = 0
    jumps: int = 0
    scaled: float = 1.0
    peak: float = 0.0


@dataclass(slots=True)
class Ledger:
    """Everything that the file holds against everything that was decoded.

    ``whole``: ``yes`` and ``no`` where the container tells whether its end is there, ``unknown``
    where nobody can know. ``heard_share`` is ``None`` where a part is cut and nothing tells how
    long it was. ``declared_sec`` is no estimate; ``declared_by`` names what declares it.
    ``gaps`` were never recorded, by the time stamps, and are silence now. ``channels`` says for
    each file of samples which track and channel it is, and which others are copies of it.
    ``copies``: where two channels are one signal, or so alike that neither shows who speaks.
    ``crosstalk``: how much of the other one's voice was taken out of a channel, and how loud it was
    beside that voice.
    """

    parts: list[str] = field(default_factory=list)
    streams_found: int = 0
    streams_decoded: int = 0
    channels_found: int = 0
    channels: list[dict[str, Any]] = field(default_factory=list)
    declared_sec: float | None = None
    declared_by: str | None = None
    decoded_sec: float = 0.0
    heard_share: float | None = 1.0
    whole: Whole = "unknown"
    packets: int = 0
    damaged_packets: int = 0
    damaged_bytes: int = 0
    trailing_bytes: int = 0
    gaps: list[tuple[float, float]] = field(default_factory=list)
    gap_sec: float = 0.0
    gain_db: float = 0.0
    copies: list[tuple[float, float]] = field(default_factory=list)
    crosstalk: list[dict[str, Any]] = field(default_factory=list)
    unheard: list[Unheard] = field(default_factory=list)
    warnings: list[AnswerWarning] = field(default_factory=list)

    def warn(self, code: str, detail: str) -> None:
        """Add a warning, once for each code."""
        if all(one.code != code for one in self.warnings):
            self.warnings.append(warning(code, detail))

    def as_data(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        found = asdict(self)
        for spans in ("gaps", "copies"):
            found[spans] = [list(one) for one in found[spans]]
        return found


def joined(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans in order, those that touch as one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + 1e-6:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
