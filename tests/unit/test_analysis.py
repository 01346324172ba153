"""The two stages of a call, together and one without the other, with an engine of a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api_server.compliance.validator import Mask, get_incomplete_elements_validator
from api_server.pii.redaction import RedactionResult
from api_server.pipeline.admission import Admission
from api_server.pipeline.analysis import AgentConfig, AnalysisRequest, CallAnalysis, Masking
from api_server.pipeline.result import CallResult
from stt_engine.errors import AudioUnreadable, OutOfMemory
from stt_engine.events import Stage
from stt_engine.outcome import DUMMY, Attempts, Outcome, StageSettled
from stt_engine.speech import Segment, SpeechRequest, Transcript, silence
from tests.unit.validation_fakes import CALL, CONFIG, NO_RULES, FakeAgent, Recorder, answer

AGENT = AgentConfig(str(CONFIG["url"]))
SPEECH = SpeechRequest(Path("call.wav"))


class StubEngine:
    """Recognises the sample call, after a backend that had no memory; or nothing at all."""

    def __init__(self, *, well: bool = True) -> None:
        self.well = well
        self.calls = 0

    def recognise(self, request: SpeechRequest, *_: object, **__: object) -> Outcome[Transcript]:
        self.calls += 1
        attempts = Attempts(Stage.STT, ())
        with attempts.of("first"):
            raise OutOfMemory("no memory")
        if not self.well:
            return attempts.settle(silence(request, 3.0), DUMMY)
        text = " ".join(one.text for one in CALL)
        return attempts.settle(Transcript(text, "ko", 60.0, "speech", segments=CALL), "second")


class CountingMask:
    """Hides nothing, and says what it would have hidden."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, segments: Sequence[Segment]) -> RedactionResult:
        self.calls += 1
        return RedactionResult(tuple(segments), {"phone": 2})


def _broken(_segments: Sequence[Segment]) -> RedactionResult:
    raise ZeroDivisionError("made on purpose")


def _analysis(
    engine: StubEngine, seen: Recorder, mask: Mask | None = None, agent: FakeAgent | None = None
) -> CallAnalysis:
    validator = get_incomplete_elements_validator(
        agent or FakeAgent(answer()),
        observers=[seen],
        rules=NO_RULES,
        mask=mask,
        mask_evidence=mask is not None,
    )
    stt: Any = engine
    masking = _masking(mask) if mask else None
    return CallAnalysis(stt, validator, Admission(8, 60.0), [seen], masking)


def _masking(mask: Mask) -> Masking:
    async def masked(segments: tuple[Segment, ...]) -> RedactionResult:
        return mask(segments)

    return masked


def _request(agent: AgentConfig | None = None) -> AnalysisRequest:
    return AnalysisRequest(SPEECH, "call.wav", agent)


def _settled(seen: Recorder) -> list[tuple[str, CallResult]]:
    """Return how the calls ended: the source of each outcome with its value."""
    found: list[tuple[str, CallResult]] = []
    for event in seen.of(StageSettled):
        if event.stage == Stage.TRANSCRIBE:
            assert isinstance(event.outcome.value, CallResult)
            found.append((event.outcome.source, event.outcome.value))
    return found


# One stage without the other ---------------------------------------------------------------


async def test_a_call_is_recognised_without_being_checked() -> None:
    engine, seen, agent = StubEngine(), Recorder(), FakeAgent(answer())
    found = await _analysis(engine, seen, agent=agent).recognise(_request(AGENT))
    assert (found.source, found.value.segments) == ("second", CALL)
    assert agent.requests == []
    assert [(source, one.recognition) for source, one in _settled(seen)] == [("complete", found)]


async def test_what_was_recognised_long_ago_is_checked_without_the_engine() -> None:
    engine, seen = StubEngine(), Recorder()
    analysis = _analysis(engine, seen)
    recognition = await analysis.recognise(_request())
    stored = CallResult.from_json(CallResult(recognition).to_json())
    check = await analysis.check(_request(), AGENT, stored.recognition)
    assert check.report is not None
    assert (check.degraded, check.report.value.reading) == (False, "proved")
    assert engine.calls == 1
    assert [(source, one.check) for source, one in _settled(seen)] == [
        ("complete", None),
        ("complete", check),
    ]


@pytest.mark.parametrize(
    ("well", "reply", "source"),
    [(True, answer(), "complete"), (True, OutOfMemory("x"), "partial"), (False, answer(), DUMMY)],
)
async def test_the_stages_come_to_the_same_together_and_apart(
    well: bool, reply: Any, source: str
) -> None:
    seen = Recorder()
    analysis = _analysis(StubEngine(well=well), seen, agent=FakeAgent(reply))
    together = await analysis.run(_request(AGENT))
    recognition = await analysis.recognise(_request())
    check = await analysis.check(_request(), AGENT, recognition)
    assert recognition.value == together.recognition.value
    assert together.check is not None
    assert check.degraded == together.check.degraded == (reply != answer())
    assert [name for name, _ in _settled(seen)] == [
        source,
        "dummy" if not well else "complete",
        source,
    ]


async def test_a_refusal_settles_nothing() -> None:
    class Refusing(StubEngine):
        def recognise(self, *_: object, **__: object) -> Outcome[Transcript]:
            raise AudioUnreadable("no such file")

    seen = Recorder()
    with pytest.raises(AudioUnreadable):
        await _analysis(Refusing(), seen).recognise(_request())
    assert _settled(seen) == []


# Masking -----------------------------------------------------------------------------------


async def test_a_transcript_that_cannot_be_masked_names_that_as_its_cause() -> None:
    """A backend that had no memory is a failure on the way, and no reason."""
    seen = Recorder()
    result = await _analysis(StubEngine(), seen, _broken).run(_request(AGENT))
    found = result.recognition
    assert (found.is_dummy, found.value.text, found.value.segments) == (True, "", ())
    assert found.cause is not None
    assert (found.cause.source, found.cause.error_type) == ("redaction", "ZeroDivisionError")
    assert [one.error_type for one in found.failures] == ["ZeroDivisionError", "MemoryError"]


async def test_what_was_masked_already_is_told_and_not_masked_again() -> None:
    mask = CountingMask()
    result = await _analysis(StubEngine(), Recorder(), mask).run(_request(AGENT))
    assert result.recognition.value.provenance["masked"] == {"phone": 2}
    assert result.check is not None
    assert result.check.report is not None
    assert result.check.report.value.masked == {"phone": 2}
    assert mask.calls == 2  # the text, and the English one


async def test_the_segments_of_a_translation_are_masked_as_its_text_is() -> None:
    class Translating(StubEngine):
        def recognise(
            self, request: SpeechRequest, *_: object, **__: object
        ) -> Outcome[Transcript]:
            found = super().recognise(request)
            english = (Segment(0, 0.0, 1.0, "call 010-1234"), Segment(1, 1.0, 2.0, "now"))
            value = replace(found.value, text_en="call 010-1234 now", segments_en=english)
            return replace(found, value=value)

    def stars(segments: Sequence[Segment]) -> RedactionResult:
        hidden = tuple(replace(one, text=one.text.replace("010-1234", "****")) for one in segments)
        return RedactionResult(hidden, {})

    found = (await _analysis(Translating(), Recorder(), stars).run(_request())).recognition.value
    assert found.text_en == "call **** now"
    assert [one.text for one in found.segments_en] == ["call ****", "now"]


async def test_who_says_that_it_was_masked_elsewhere_is_not_believed() -> None:
    """Another server's provenance has the same key; what is sent to the LLM is masked here."""
    seen, agent = Recorder(), FakeAgent(answer())
    validator = get_incomplete_elements_validator(
        agent, rules=NO_RULES, mask=(mask := CountingMask())
    )
    stt: Any = StubEngine()
    analysis = CallAnalysis(stt, validator, Admission(8, 60.0), [seen])
    transcript = Transcript(
        CALL[0].text, "ko", 60.0, "speech", segments=CALL, provenance={"masked": {"phone": 9}}
    )
    check = await analysis.check(_request(), AGENT, Outcome(transcript, "remote"))
    assert check.report is not None
    assert (mask.calls, check.report.value.masked) == (1, {"phone": 2})
