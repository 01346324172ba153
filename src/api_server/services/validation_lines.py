"""The log lines of the validation stage. Words of a call or of an agent never appear in them.

Failures of the agent itself are the lines of ``[AgentBackend]``; they are not repeated here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from stt_engine.log import Line, Table, cause_of
from stt_engine.outcome import Event, Stage

REJECTED_QUOTE = "rejected_quote"
"""``source`` of the event of a quote that was not accepted as proof."""

UNPROVED_READING = "unproved_reading"
"""``source`` of the event of an answer that does not show that the whole call was read."""

DISAGREEMENT = "disagreement"
"""``source`` of the event of an element on which the rules and the agent do not agree."""

_STATUS_WORDS = {
    "violated": "위반",
    "satisfied": "충족",
    "not_found": "미발견",
    "not_applicable": "해당없음",
    "undetermined": "판정불가",
}


def _started(event: Event) -> str:
    facts = event.detail
    return (
        f"검증 시작 (rubric={facts['rubric_version']}, 항목 {facts['elements']}개, "
        f"발화 {facts['segments']}개)"
    )


def _done(event: Event) -> str | None:
    if event.outcome is None or event.outcome.is_dummy:
        return None
    return f"검증 완료 ({event.elapsed_sec:.1f}초, {_counts(event)})"


def _nothing(event: Event) -> str | None:
    if event.outcome is None or not event.outcome.is_dummy:
        return None
    return f"검증 결과 없음: 위반이 없다는 뜻이 아님 ({event.elapsed_sec:.1f}초, {_counts(event)})"


def _counts(event: Event) -> str:
    counts = event.detail["counts"]
    shown = counts if isinstance(counts, Mapping) else {}
    return ", ".join(f"{word} {shown.get(status, 0)}" for status, word in _STATUS_WORDS.items())


def _rejected(event: Event) -> str | None:
    if event.source != REJECTED_QUOTE:
        return None
    facts = event.detail
    return f"근거 인용문 기각 (항목={facts['element']}, 이유={facts['reason']}, {facts['chars']}자)"


def _unread(event: Event) -> str | None:
    if event.source != UNPROVED_READING:
        return None
    return "통화를 끝까지 읽었음이 확인되지 않음: '없음' 판정을 모두 판정불가로 둠"


def _disagreed(event: Event) -> str | None:
    if event.source != DISAGREEMENT:
        return None
    facts = event.detail
    return (
        f"규칙과 분석기의 판정이 다름 (항목={facts['element']}, "
        f"규칙={_word(facts['rules'])}, 분석기={_word(facts['llm'])})"
    )


def _word(status: object) -> str:
    return _STATUS_WORDS.get(str(status), "없음")


def _failed(event: Event) -> str:
    failed = event.failure.source if event.failure else ""
    if failed == "redaction":
        return f"개인정보 가림 실패로 통화 기록을 분석기에 보내지 않음: {cause_of(event)}"
    return f"규칙 검사 실패: {cause_of(event)}"


VALIDATION_LINES: Table = {
    (Stage.VALIDATION, "started"): (Line("Validation", logging.INFO, _started),),
    (Stage.VALIDATION, "failed"): (Line("Validation", logging.ERROR, _failed),),
    (Stage.VALIDATION, "noted"): (
        Line("Validation", logging.WARNING, _rejected),
        Line("Validation", logging.WARNING, _unread),
        Line("Validation", logging.WARNING, _disagreed),
    ),
    (Stage.VALIDATION, "settled"): (
        Line("Validation", logging.INFO, _done),
        Line("Validation", logging.WARNING, _nothing),
    ),
}
"""The ``[Validation]`` lines, for a :class:`stt_engine.log.LogObserver`."""
