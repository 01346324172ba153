"""What the steps of a recognition have brought so far, kept where a crash cannot take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from stt_engine.coverage import ChannelCoverage, SpeechCoverage, Unheard, recognised_coverage
from stt_engine.errors import EmptyTranscript
from stt_engine.outcome import error_type_of
from stt_engine.protocol import (
    ChunkStep,
    LanguageFacts,
    Provenance,
    RejectedSegment,
    ResumePosition,
    SegmentFacts,
    Step,
    Task,
    TranscribeJob,
    UnheardSpan,
)
from stt_engine.recognition.language_check import language_runs, language_warnings
from stt_engine.recognition.speakers import with_speakers
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, Segment, SpeechRequest, Transcript, Word
from stt_engine.warnings import AnswerWarning, warning

_ROUNDED = 1e-3


def _by_task() -> dict[Task, list[Any]]:
    return {"transcribe": [], "translate": []}


@dataclass
class TranscriptBuilder:
    """One recording's segments, by task, and the position that recognition has reached."""

    request: SpeechRequest
    audio: DecodedAudio
    provenance: Provenance = field(default_factory=dict)
    facts: Provenance = field(default_factory=dict)
    language: str | None = None
    task: Task = "transcribe"
    """What the latest step did."""
    reached: dict[int, int] = field(default_factory=dict)
    """By channel: samples of it that are done, in this task."""
    segments: dict[Task, list[SegmentFacts]] = field(default_factory=_by_task)
    spent: dict[Task, float] = field(default_factory=dict)
    rejected: dict[Task, list[RejectedSegment]] = field(default_factory=_by_task)
    unheard: dict[Task, list[UnheardSpan]] = field(default_factory=_by_task)
    """Parts of the speech that have no text, or none in the language that was spoken."""
    languages: list[LanguageFacts] = field(default_factory=list)
    low_confidence: Counter[str] = field(default_factory=Counter)
    """Reasons why chunks were transcribed again, and how many of them."""
    hinted: dict[str, list[list[float]]] = field(default_factory=dict)
    """What came of hints, and of which chunks: start and end in seconds, channel."""
    speech_sec: dict[int, list[float]] = field(default_factory=dict)
    """By channel: seconds of speech that were found, and that became text."""
    untranslated: str | None = None
    """Why the translation was given up, behind a transcript that is whole."""

    @property
    def work_sec(self) -> float:
        """Seconds of sound to be recognised in all."""
        return self.audio.duration * len(self.audio.files) * (1 + self.request.translate)

    @property
    def done_sec(self) -> float:
        """How much of :attr:`work_sec` is done."""
        behind = len(self.audio.files) * (self.task != "transcribe")
        done = (min(one / SAMPLE_RATE, self.audio.duration) for one in self.reached.values())
        return behind * self.audio.duration + sum(done)

    @property
    def transcribed(self) -> bool:
        """Whether every channel is transcribed, and what is left is the translation."""
        files = len(self.audio.files)
        return self.request.translate and self.done_sec >= files * self.audio.duration - _ROUNDED

    def give_up_translation(self, error: Exception) -> None:
        """Keep the transcript without its translation, of which nothing is left half done."""
        self.untranslated = f"{error_type_of(error)}: {error}"
        for found in (self.segments, self.rejected, self.unheard):
            found["translate"].clear()

    def job(
        self, *, single: bool = False, background: bool = False, eager: int = 0
    ) -> TranscribeJob:
        """Return what the child needs to begin, or to continue where another child has stopped."""
        return {
            "operation": "transcribe",
            "files": [str(file) for file in self.audio.files],
            "language": self.request.language,
            "translate": self.request.translate,
            "words": self.request.word_timestamps,
            "prompt": self.request.hints.prompt,
            "keywords": list(self.request.hints.keywords),
            "temperature": self.request.temperature,
            "resume": self._resume(),
            "single": single,
            "background": background,
            "eager": eager,
        }

    def _resume(self) -> ResumePosition | None:
        if not self.reached:
            return None
        samples = [self.reached.get(one, 0) for one in range(len(self.audio.files))]
        return {"task": self.task, "samples": samples, "language": self.language}

    def begun(self, provenance: Provenance) -> bool:
        """Keep which model recognises; false where it is another one than so far."""
        known = self.provenance
        self.provenance = dict(provenance)
        return not known or known == provenance

    def restart(self) -> None:
        """Forget what was recognised; what it cost stays spent."""
        self.task, self.language = "transcribe", None
        self.reached.clear()
        self.speech_sec.clear()
        self.languages.clear()
        self.low_confidence.clear()
        self.hinted.clear()
        self.facts.clear()
        for by_task in (self.segments, self.rejected, self.unheard):
            for found in by_task.values():
                found.clear()

    def add(self, step: Step, took_sec: float) -> None:
        """Keep what one step brought; ``took_sec`` is what it cost."""
        if step["kind"] != "chunk" and step["kind"] != "piece":
            return
        task = step["task"]
        if task != self.task:
            self.task, self.reached = task, {}
        self.reached[step["channel"]] = step["sample"]
        self.language = step["language"] or self.language
        self.facts.update(step["facts"])
        self.spent[task] = self.spent.get(task, 0.0) + took_sec
        if task == "transcribe":
            self.speech_sec.setdefault(step["channel"], [0.0, 0.0])
        if step["kind"] == "chunk":
            self._add_chunk(step)

    def _add_chunk(self, step: ChunkStep) -> None:
        self.segments[step["task"]].extend(step["segments"])
        self.rejected[step["task"]].extend(step["rejected"])
        self.unheard[step["task"]].extend(step["unheard"])
        self.languages.extend(step["languages"])
        self.low_confidence.update(step["low_confidence"])
        if step["hinted"]:
            end = step["sample"] / SAMPLE_RATE
            place = [round(end - step["speech_sec"], 3), round(end, 3), step["channel"]]
            self.hinted.setdefault(step["hinted"], []).append(place)
        if step["task"] == "transcribe":
            found = self.speech_sec[step["channel"]]
            found[0] += step["speech_sec"]
            found[1] += _recognised_sec(step)

    def transcript(self) -> Transcript:
        """Return the whole.

        Raises:
            EmptyTranscript: speech was found, and all of its text had to be rejected.
        """
        rejected = self.rejected["transcribe"]
        segments = with_speakers(
            _in_order(self.segments["transcribe"]), self.audio, self.request.agent_channel
        )
        if rejected and not segments:
            why = ", ".join(sorted({one["reason"] for one in rejected}))
            raise EmptyTranscript(f"{len(rejected)} segments were heard and all rejected ({why})")
        english = self._english(segments)
        return Transcript(
            text=_joined(segments),
            text_en=_joined(english),
            segments_en=english,
            language=self.language or self.request.language,
            duration=self.audio.duration,
            outcome="speech" if segments else "no_speech",
            segments=segments,
            provenance={
                **self.provenance,
                **self.facts,
                "speech_sec": sum(found for found, _ in self.speech_sec.values()),
                "rejected_segments": rejected,
                "pipelines": _pipelines(self.segments["transcribe"]),
                **self._translation(),
                **self._asked(),
                "language_check": language_runs(self.languages),
                "heard_again": dict(self.low_confidence),
                "source_format": self.audio.source_format,
                "sound": {
                    fact: told
                    for fact, told in self.audio.sound.items()
                    if fact not in {"unheard", "warnings"}
                },
                "channels": len(self.audio.files),
            },
            timings={f"{task}_sec": sec for task, sec in self.spent.items()},
            coverage=self._coverage(),
            warnings=tuple(self._warnings()),
        )

    def _coverage(self) -> SpeechCoverage:
        sound = self.audio.sound
        channels = [
            ChannelCoverage(channel, found, min(found, recognised))
            for channel in range(len(self.audio.files))
            for found, recognised in [self.speech_sec.get(channel, (0.0, 0.0))]
        ]
        undecoded = [Unheard(**one) for one in sound.get("unheard", ())]
        without_text = [Unheard(**one) for one in self.unheard["transcribe"]]
        return recognised_coverage(
            channels,
            [*undecoded, *without_text],
            sound.get("heard_share", 1.0),
            sound.get("whole", "unknown"),
        )

    def _warnings(self) -> Iterator[AnswerWarning]:
        yield from (AnswerWarning(**one) for one in self.audio.sound.get("warnings", ()))
        without_text = [one for one in self.unheard["transcribe"] if one["reason"] == "no_text"]
        if without_text:
            seconds = sum(one["speech_sec"] for one in without_text)
            yield warning("no_text", f"{seconds:.1f} s of voice in {len(without_text)} stretches")
        if rejected := self.rejected["transcribe"]:
            why = ", ".join(sorted({one["reason"] for one in rejected}))
            yield warning("rejected_text", f"{len(rejected)} segments: {why}")
        left_out = [*self.rejected["translate"], *self.unheard["translate"]]
        if untranslated := self._untranslated():
            yield warning("translation_missing", untranslated)
        elif self._translation() and left_out:
            seconds = sum(one["end"] - one["start"] for one in left_out)
            yield warning("translation_incomplete", f"{seconds:.1f} s; provenance.translation")
        if missing := self._not_taken():
            yield warning("not_taken", ", ".join(missing))
        yield from language_warnings(self.languages, self.language or self.request.language)

    def _asked(self) -> Provenance:
        """Return what was made of hints and of a temperature, where they were given."""
        hints, temperature = self.request.hints, self.request.temperature
        found: Provenance = {"temperature": temperature} if temperature else {}
        if hints:
            stretches = {name: self.hinted.get(name, []) for name in ("taken", "refused")}
            given = {"prompt": bool(hints.prompt), "keywords": len(hints.keywords)}
            found["hints"] = {**given, "same": len(self.hinted.get("same", ())), **stretches}
        return found

    def _not_taken(self) -> list[str]:
        """Return what was asked for and this model cannot do."""
        asked = {
            "words": self.request.word_timestamps,
            "hints": bool(self.request.hints),
            "temperature": self.request.temperature > 0,
        }
        takes = self.provenance.get("takes")
        known = takes if isinstance(takes, list) else list(asked)
        return [name for name, wanted in asked.items() if wanted and name not in known]

    def _english(self, segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
        if not self.request.translate:
            return ()
        if self.language == "en":
            return segments
        return with_speakers(
            _in_order(self.segments["translate"]), self.audio, self.request.agent_channel
        )

    def _untranslated(self) -> str | None:
        """Return why a translation that was asked for is none."""
        wanted = self.segments["transcribe"] and self._translation()
        if self.untranslated or not wanted or self.segments["translate"]:
            return self.untranslated
        reasons = {one["reason"] for one in self.rejected["translate"]} or {"no_text"}
        return f"it came to nothing: {', '.join(sorted(reasons))}"

    def _translation(self) -> Provenance:
        """Return what the translation left out, where one was made."""
        if not self.request.translate or self.language == "en":
            return {}
        left_out = {
            "rejected_segments": self.rejected["translate"],
            "unheard": self.unheard["translate"],
        }
        return {"translation": left_out}


def _recognised_sec(step: ChunkStep) -> float:
    """Return how much of a chunk became text: all but the parts without any."""
    lost = sum(one["end"] - one["start"] for one in step["unheard"])
    return max(0.0, step["speech_sec"] - lost)


def _in_order(found: list[SegmentFacts]) -> tuple[Segment, ...]:
    return tuple(_segment(number, raw) for number, raw in enumerate(_sorted(found)))


def _sorted(found: list[SegmentFacts]) -> list[SegmentFacts]:
    return sorted(found, key=lambda segment: (segment["start"], segment["channel"]))


def _pipelines(found: list[SegmentFacts]) -> dict[str, list[list[int]]]:
    """Return which pipeline each segment came through, as ranges (first, last) of ids."""
    ranges: dict[str, list[list[int]]] = {}
    runs = groupby(enumerate(_sorted(found)), key=lambda numbered: numbered[1]["pipeline"])
    for pipeline, run in runs:
        ids = [number for number, _ in run]
        ranges.setdefault(pipeline, []).append([ids[0], ids[-1]])
    return ranges


def _segment(number: int, raw: SegmentFacts) -> Segment:
    words = raw["words"]
    return Segment(
        id=number,
        start=raw["start"],
        end=raw["end"],
        text=raw["text"],
        channel=raw["channel"],
        confidence=raw["confidence"],
        words=None if words is None else tuple(Word(*word) for word in words),
    )


def _joined(segments: tuple[Segment, ...]) -> str:
    return " ".join(segment.text for segment in segments)
