from collections.abc import Sequence
from dataclasses import dataclass
from stt_engine.speech import Segment


@dataclass(frozen=True)
class Redacted:
    segments: tuple[Segment, ...]


def redact(segments: Sequence[Segment]) -> Redacted:
    return Redacted(tuple(segments))
