"""What the steps of a recognition have brought so far, kept where a crash cannot take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stt_engine.errors import EmptyTranscript
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, Segment, SpeechRequest, Transcript, Word

Facts = Mapping[str, Any]

GAP_SEC = 2.0
"""A stretch of speech without text for longer was not recognised. What is found as speech begins
and ends up to 0.4 s early and late, and speakers pause."""


@dataclass
class Collected:
    """One recording's segments, by task, and the place that recognition has come to."""

    request: SpeechRequest
    audio: DecodedAudio
    provenance: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    language: str | None = None
    place: dict[str, Any] | None = None
    heard: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"transcribe": [], "translate": []}
    )
    spent: dict[str, float] = field(default_factory=dict)
    rejected: list[Facts] = field(default_factory=list)
    doubts: Counter[str] = field(default_factory=Counter)
    """Reasons why stretches were heard again, and how many of them."""
    speech_sec: dict[int, list[float]] = field(default_factory=dict)
    """By channel: seconds of speech that were found, and that became text."""

    @property
    def work_sec(self) -> float:
        """Seconds of sound to be recognised in all."""
        return self.audio.duration * len(self.audio.files) * (1 + self.request.translate)

    @property
    def done_sec(self) -> float:
        """How much of :attr:`work_sec` is done."""
        if self.place is None:
            return 0.0
        behind = self.place["channel"] + len(self.audio.files) * (
            self.place["task"] != "transcribe"
        )
        return float(behind * self.audio.duration + self.place["sample"] / SAMPLE_RATE)

    def job(self) -> dict[str, Any]:
        """Give what the child needs to begin, or to go on where another child has stopped."""
        resume = self.place and {**self.place, "language": self.language}
        return {
            "files": [str(file) for file in self.audio.files],
            "language": self.request.language,
            "translate": self.request.translate,
            "words": self.request.word_timestamps,
            "agent_channel": self.request.agent_channel,
            "resume": resume,
        }

    def begun(self, provenance: Facts) -> bool:
        """Learn who listens; false where it is another model than the one so far."""
        known = self.provenance
        self.provenance = dict(provenance)
        return not known or known == provenance

    def restart(self) -> None:
        """Forget what was heard; what it cost stays spent."""
        self.place, self.language = None, None
        self.speech_sec.clear()
        self.rejected.clear()
        self.doubts.clear()
        self.facts.clear()
        for heard in self.heard.values():
            heard.clear()

    def add(self, step: Facts, took_sec: float) -> None:
        """Keep what one step brought; ``took_sec`` is what it cost."""
        if "task" not in step:
            return
        task = step["task"]
        self.place = {name: step[name] for name in ("task", "channel", "sample")}
        self.language = step["language"] or self.language
        self.heard[task].extend(step.get("segments", ()))
        self.rejected.extend(step.get("rejected", ()))
        self.doubts.update(step.get("doubts", ()))
        self.facts.update(step.get("facts", {}))
        self.spent[task] = self.spent.get(task, 0.0) + took_sec
        if task == "transcribe":
            found = self.speech_sec.setdefault(step["channel"], [0.0, 0.0])
            found[0] += step.get("speech_sec", 0.0)
            found[1] += _recognised_sec(step)

    def transcript(self) -> Transcript:
        """Give the whole.

        Raises:
            EmptyTranscript: speech was heard, and all of it had to be rejected.
        """
        segments = _in_order(self.heard["transcribe"])
        if self.rejected and not segments:
            why = ", ".join(sorted({one["reason"] for one in self.rejected}))
            raise EmptyTranscript(
                f"{len(self.rejected)} segments were heard and all rejected ({why})"
            )
        return Transcript(
            text=_joined(segments),
            text_en=self._english(segments),
            language=self.language or self.request.language,
            duration=self.audio.duration,
            outcome="speech" if segments else "no_speech",
            segments=segments,
            provenance={
                **self.provenance,
                **self.facts,
                "speech_sec": sum(found for found, _ in self.speech_sec.values()),
                "coverage": [
                    {"channel": channel, "speech_sec": found, "recognised_sec": recognised}
                    for channel, (found, recognised) in sorted(self.speech_sec.items())
                ],
                "rejected_segments": self.rejected,
                "heard_again": dict(self.doubts),
                "source_format": self.audio.source_format,
                "channels": len(self.audio.files),
            },
            timings={f"{task}_sec": sec for task, sec in self.spent.items()},
        )

    def _english(self, segments: tuple[Segment, ...]) -> str:
        if not self.request.translate:
            return ""
        return _joined(segments if self.language == "en" else _in_order(self.heard["translate"]))


def _recognised_sec(step: Facts) -> float:
    """Give how much of a stretch of speech became text: all but its long gaps without any."""
    if "speech_sec" not in step:
        return 0.0
    end = step["sample"] / SAMPLE_RATE
    at, lost = end - step["speech_sec"], 0.0
    for start, stop in (*((one["start"], one["end"]) for one in step["segments"]), (end, end)):
        gap = max(0.0, start - at)
        lost += gap if gap > GAP_SEC or not step["segments"] else 0.0
        at = max(at, stop)
    return float(max(0.0, step["speech_sec"] - lost))


def _in_order(found: list[dict[str, Any]]) -> tuple[Segment, ...]:
    found = sorted(found, key=lambda segment: (segment["start"], segment["channel"]))
    return tuple(_segment(number, raw) for number, raw in enumerate(found))


def _segment(number: int, raw: Facts) -> Segment:
    words = raw["words"]
    words = None if words is None else tuple(Word(*word) for word in words)
    return Segment(**{**raw, "id": number, "words": words})


def _joined(segments: tuple[Segment, ...]) -> str:
    return " ".join(segment.text for segment in segments)
