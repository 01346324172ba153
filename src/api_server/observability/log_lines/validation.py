"""The log lines of the validation stage. Words of a call or of an agent never appear in them.

Failures of the agent itself are the lines of ``[AgentBackend]``; they are not repeated here.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import cast

from api_server.compliance.events import (
    CheckStarted,
    QuoteRejected,
    ReadingUnproved,
    RubricLoaded,
    RubricRefused,
    TiersDisagreed,
)
from api_server.compliance.findings import Status
from api_server.compliance.result import ComplianceReport
from stt_engine.events import AnswerWarned, Stage
from stt_engine.log import Table, cause_of, on, on_answered, on_dummy, on_failed, warned
from stt_engine.outcome import AttemptFailed, StageSettled

_STATUS_WORDS: dict[Status, str] = {
    "violated": "위반",
    "satisfied": "충족",
    "not_found": "미발견",
    "not_applicable": "해당없음",
    "undetermined": "판정불가",
}


def _started(event: CheckStarted) -> str:
    return (
        f"검증 시작 (rubric={event.rubric_version}, 항목 {event.elements}개, "
        f"발화 {event.segments}개)"
    )


def _loaded(event: RubricLoaded) -> str:
    return f"점검표를 다시 읽음 (rubric={event.version}, 항목 {event.elements}개)"


def _refused(event: RubricRefused) -> str:
    return f"점검표를 쓸 수 없어 이전 것을 계속 사용 (rubric={event.version}): {event.reason}"


def _done(event: StageSettled) -> str:
    return f"검증 완료 ({event.outcome.elapsed_sec:.1f}초, {_counts(event)})"


def _nothing(event: StageSettled) -> str:
    took = f"{event.outcome.elapsed_sec:.1f}초"
    return f"검증 결과 없음: 위반이 없다는 뜻이 아님 ({took}, {_counts(event)})"


def _counts(event: StageSettled) -> str:
    report = cast("ComplianceReport", event.outcome.value)
    counts = Counter(finding.status for finding in report.elements)
    return ", ".join(f"{word} {counts[status]}" for status, word in _STATUS_WORDS.items())


def _rejected(event: QuoteRejected) -> str:
    return f"근거 인용문 기각 (항목={event.element}, 이유={event.reason}, {event.chars}자)"


def _disagreed(event: TiersDisagreed) -> str:
    return (
        f"규칙과 분석기의 판정이 다름 (항목={event.element}, "
        f"규칙={_word(event.rules)}, 분석기={_word(event.llm)})"
    )


def _word(status: Status | None) -> str:
    return "없음" if status is None else _STATUS_WORDS[status]


def _failed(event: AttemptFailed) -> str:
    if event.failure.source == "redaction":
        return f"개인정보 가림 실패로 통화 기록을 분석기에 보내지 않음: {cause_of(event)}"
    what = "규칙 검사" if event.failure.source == "rules" else "판정"
    return f"{what} 실패: {cause_of(event)}"


VALIDATION_LINES: Table = (
    on(CheckStarted, "Validation", logging.INFO, _started),
    on_failed(Stage.VALIDATION, "Validation", logging.ERROR, _failed),
    on(QuoteRejected, "Validation", logging.WARNING, _rejected),
    on(
        ReadingUnproved,
        "Validation",
        logging.WARNING,
        "통화를 끝까지 읽었음이 확인되지 않음: '없음' 판정을 모두 판정불가로 둠",
    ),
    on(TiersDisagreed, "Validation", logging.WARNING, _disagreed),
    on(RubricLoaded, "Validation", logging.INFO, _loaded),
    on(RubricRefused, "Validation", logging.ERROR, _refused),
    on(AnswerWarned, "Validation", logging.WARNING, partial(warned, Stage.VALIDATION)),
    on_answered(Stage.VALIDATION, "Validation", logging.INFO, _done),
    on_dummy(Stage.VALIDATION, "Validation", logging.WARNING, _nothing),
)
"""The ``[Validation]`` lines, for a :class:`stt_engine.log.LogObserver`."""
