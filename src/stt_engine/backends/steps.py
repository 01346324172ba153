"""What one step of a recognition brings: its segments, what is rejected, what has no text."""

from __future__ import annotations

from stt_engine.backends.base import LATE_SEC, SEQUENTIAL, ChunkResult, RawSegment, SpeechChunk
from stt_engine.backends.batching import WorkItem
from stt_engine.backends.gaps import Gap, gaps_in
from stt_engine.backends.languages import foreign_spans
from stt_engine.backends.repetition import is_suspect, looped
from stt_engine.protocol import (
    ChunkStep,
    LanguageFacts,
    PieceStep,
    Provenance,
    RejectedSegment,
    SegmentFacts,
    UnheardSpan,
)

_NO_WORDS = frozenset({"perhaps_no_speech", "low_probability"})
"""Low confidence that there are words at all: what repeats itself the second time was not said."""


def step_of(
    item: WorkItem,
    ready: list[int],
    languages: list[LanguageFacts],
    facts: Provenance,
) -> ChunkStep | PieceStep:
    """Return what one step brings, as it is sent to the parent."""
    if item.chunk is None:
        return {
            "kind": "piece",
            "task": item.task,
            "channel": item.channel,
            "sample": item.sample,
            "language": item.language,
            "facts": dict(item.facts),
            "ready": ready,
        }
    result = item.result or ChunkResult()
    segments, rejected, unheard = _gated(result, item, item.chunk)
    return {
        "kind": "chunk",
        "task": item.task,
        "channel": item.channel,
        "sample": item.sample,
        "language": item.language,
        "speech_sec": item.chunk.seconds,
        "segments": segments,
        "rejected": rejected,
        "unheard": [*unheard, *foreign_spans(languages)],
        "languages": languages,
        "low_confidence": list(result.low_confidence),
        "hinted": result.hinted,
        "facts": {**result.facts, **facts},
        "ready": ready,
    }


def _gated(
    result: ChunkResult, item: WorkItem, chunk: SpeechChunk
) -> tuple[list[SegmentFacts], list[RejectedSegment], list[UnheardSpan]]:
    """Return a chunk's segments, those that are rejected and why, and what has no text."""
    seconds = chunk.seconds
    found = [segment for segment in result.segments if segment.text.strip()]
    loops = looped([segment.text for segment in found])
    if _NO_WORDS.intersection(result.low_confidence) and is_suspect(
        " ".join(segment.text for segment in found)
    ):
        loops = set(range(len(found)))
    taken: list[RawSegment] = []
    segments: list[SegmentFacts] = []
    rejected: list[RejectedSegment] = []
    for at, one in enumerate(found):
        reason = "impossible_times" if one.start > seconds + LATE_SEC else None
        reason = "repetition_loop" if at in loops else reason
        segment = one.within(seconds).moved(item.offset_sec)
        if reason:
            rejected.append(
                {
                    "start": segment.start,
                    "end": segment.end,
                    "channel": item.channel,
                    "reason": reason,
                }
            )
        else:
            taken.append(one)
            segments.append(_described(segment, item))
    return segments, rejected, [_unheard(gap, item) for gap in gaps_in(chunk, taken)]


def _unheard(gap: Gap, item: WorkItem) -> UnheardSpan:
    """Return a part of a chunk that has voice and no text, in seconds of the recording."""
    return {
        "start": round(gap.start + item.offset_sec, 3),
        "end": round(gap.end + item.offset_sec, 3),
        "channel": item.channel,
        "speech_sec": round(gap.speech_sec, 3),
        "reason": "no_text",
    }


def _described(segment: RawSegment, item: WorkItem) -> SegmentFacts:
    shared = item.shared and segment.pipeline != SEQUENTIAL
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text.strip(),
        "channel": item.channel,
        "confidence": None if segment.confidence is None else round(segment.confidence, 4),
        "words": segment.words,
        "pipeline": f"{segment.pipeline}-shared" if shared else segment.pipeline,
    }
