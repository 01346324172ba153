"""What a call came to is stored as JSON and read back equal."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api_server.clients.agent.types import AgentAnswer
from api_server.compliance.coverage import Coverage
from api_server.compliance.evidence import Evidence
from api_server.compliance.findings import STATUSES, Finding, Reason
from api_server.compliance.result import ComplianceReport, build_validation_result
from api_server.compliance.rubric import ElementRef
from api_server.compliance.validator import get_incomplete_elements_validator
from api_server.pipeline.result import CallResult, CheckResult
from stt_engine.coverage import (
    ChannelCoverage,
    SpeechCoverage,
    Unheard,
    UnheardReason,
    Whole,
)
from stt_engine.events import Stage
from stt_engine.outcome import Failure, Outcome
from stt_engine.speech import Segment, Transcript, Word
from stt_engine.warnings import AnswerWarning
from tests.unit.validation_fakes import CALL, CONFIG, FakeAgent, answer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SECONDS = st.floats(0, 1e6, allow_nan=False)
WORDS = st.lists(st.builds(Word, SECONDS, SECONDS, TEXT, SECONDS), max_size=2).map(tuple)
SEGMENT = st.builds(
    Segment,
    st.integers(0, 99),
    SECONDS,
    SECONDS,
    TEXT,
    st.integers(0, 15),
    st.sampled_from(["agent", "customer", None]),
    st.none() | SECONDS,
    st.none() | WORDS,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | SECONDS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


SHARE = st.floats(0, 1)
CODES = st.frozensets(TEXT, max_size=2)
UNHEARD = st.builds(
    Unheard,
    SECONDS,
    SECONDS,
    st.none() | st.integers(0, 3),
    st.sampled_from(get_args(UnheardReason)),
    st.none() | SECONDS,
)
COVERAGE = st.builds(
    SpeechCoverage,
    SHARE,
    SHARE,
    st.sampled_from(get_args(Whole)),
    st.lists(st.builds(ChannelCoverage, st.integers(0, 3), st.just(2.0), SHARE)).map(tuple),
    st.lists(UNHEARD, max_size=2).map(tuple),
)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    text = draw(TEXT)
    outcome = "speech" if text.strip() else draw(st.sampled_from(["no_speech", "failed"]))
    return Transcript(
        text,
        "ko",
        draw(SECONDS),
        outcome,  # type: ignore[arg-type]
        draw(TEXT),
        tuple(draw(st.lists(SEGMENT, max_size=3))),
        draw(st.dictionaries(TEXT, JSON, max_size=3)),
        draw(st.dictionaries(TEXT, SECONDS, max_size=3)),
        draw(st.none() | TEXT),
        draw(st.none() | COVERAGE),
        tuple(draw(st.lists(st.builds(AnswerWarning, TEXT, TEXT, TEXT), max_size=2))),
    )


FAILURE = st.builds(
    Failure,
    st.sampled_from(Stage),
    TEXT,
    TEXT,
    TEXT,
    SECONDS,
    st.booleans(),
    st.booleans(),
    st.none() | TEXT,
)
FAILURES = st.lists(FAILURE, max_size=2).map(tuple)
EVIDENCE = st.builds(
    Evidence,
    st.integers(0, 9),
    SECONDS,
    SECONDS,
    st.integers(0, 1),
    TEXT,
    st.sampled_from(["exact", "normalised"]),
)
STATUS = st.sampled_from(STATUSES)
REASON = st.sampled_from(Reason)
FINDING = st.builds(
    Finding,
    st.builds(ElementRef, TEXT, TEXT, TEXT, st.sampled_from(["required", "prohibited"])),
    STATUS,
    REASON,
    st.sampled_from(["rules", "llm", "both", None]),
    st.lists(EVIDENCE, max_size=2).map(tuple),
    st.none() | TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
    st.none() | STATUS,
    st.none() | STATUS,
    st.none() | REASON,
)
ANSWER = st.builds(
    AgentAnswer,
    TEXT,
    st.sampled_from(["vllm", "external", "dummy"]),
    st.none() | TEXT,
    st.none() | TEXT,
)
REPORT = st.builds(
    ComplianceReport,
    elements=st.lists(FINDING, max_size=3).map(tuple),
    rubric_version=TEXT,
    prompt_sha256=TEXT,
    agent=st.builds(Outcome, ANSWER, TEXT, FAILURES, SECONDS),
    has_transcript=st.booleans(),
    reading=st.sampled_from(["proved", "not_proved", "not_asked"]),
    timed=st.booleans(),
    chunks=st.integers(0, 9),
    chunks_failed=st.integers(0, 9),
    coverage=st.builds(
        Coverage, SECONDS, SECONDS, st.frozensets(st.sampled_from(["agent", "customer"])), CODES
    ),
    covered=st.lists(TEXT, max_size=2).map(tuple),
    masked=st.none() | st.dictionaries(TEXT, st.integers(0, 9), max_size=2),
    warnings=st.lists(st.builds(AnswerWarning, TEXT, TEXT, TEXT), max_size=2).map(tuple),
)
CHECK = st.builds(CheckResult, st.builds(Outcome, REPORT, TEXT, FAILURES, SECONDS)) | st.builds(
    CheckResult, st.none(), FAILURE
)
RESULT = st.builds(
    CallResult,
    st.builds(Outcome, transcripts(), TEXT, FAILURES, SECONDS),
    st.none() | CHECK,
    SECONDS,
    st.integers(1, 9),
)


@given(RESULT)
def test_what_is_stored_is_read_back_equal(result: CallResult) -> None:
    stored = result.to_json()
    assert CallResult.from_json(stored) == result
    assert json.loads(stored)["revision"] == result.revision


async def test_a_real_check_is_stored_too() -> None:
    validator = get_incomplete_elements_validator(FakeAgent(answer()))
    report = await validator.check(CALL, CONFIG)
    transcript = Transcript("여보세요", "ko", 1.0, "speech")
    result = CallResult(Outcome(transcript, "faster-whisper"), CheckResult(report))
    read = CallResult.from_json(result.to_json())
    assert read == result
    assert read.check is not None
    assert read.check.report is not None
    assert build_validation_result(read.check.report) == build_validation_result(report)


def test_what_contradicts_itself_is_not_read() -> None:
    transcript = Transcript("여보세요", "ko", 1.0, "speech")
    stored = CallResult(Outcome(transcript, "x")).to_json().replace(b'"speech"', b'"no_speech"')
    with pytest.raises(ValidationError):
        CallResult.from_json(b"{}")
    with pytest.raises(Exception, match="outcome no_speech"):
        CallResult.from_json(stored)


def test_the_value_cannot_be_changed() -> None:
    result = CallResult(Outcome(Transcript("", "ko", 0.0, "failed"), "dummy"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.revision = 2  # type: ignore[misc]
