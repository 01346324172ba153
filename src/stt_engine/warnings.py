"""What a reader of an answer has to know beside its text: a closed list of warnings.

A warning is no failure: the status stays what it is. Those of :data:`BARS_ABSENCE` take the answer
the right to say that something was not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "damaged": "녹음의 일부가 손상되어 인식하지 못한 구간이 있습니다",
        "cut": "녹음 파일의 끝이 잘려 있습니다",
        "gaps": "녹음에 기록되지 않은 구간이 있어 무음으로 채웠습니다",
        "time_stamps": "녹음의 시간 표시가 어긋나 시각이 정확하지 않을 수 있습니다",
        "parts": "파일 하나에 녹음이 여러 개 이어져 있습니다",
        "edit_list": "재생 순서가 편집된 파일이어서 저장된 소리를 처음부터 한 번씩 인식했습니다",
        "tracks": "파일에 오디오 트랙이 여러 개 있습니다",
        "unknown_codec": "해독할 수 없는 오디오 트랙이 있습니다",
        "quiet": "녹음 소리가 매우 작아 증폭했습니다",
        "too_quiet": "녹음 소리가 너무 작아 말이 있어도 인식할 수 없습니다",
        "out_of_range": "녹음 값이 정해진 범위를 벗어나 크기를 조정했습니다",
        "length_too_short": "파일에 적힌 길이보다 소리가 더 길어 끝까지 인식했습니다",
        "trailing_bytes": "녹음이 끝난 뒤에 알 수 없는 데이터가 있습니다",
        "channel_copies": "여러 채널에 같은 소리가 들어 있어 말한 사람을 알 수 없습니다",
        "crosstalk": "한 채널에 섞여 들어온 상대방의 소리를 제거했습니다",
        "no_text": "말소리가 있으나 글로 옮기지 못한 구간이 있습니다",
        "translation_incomplete": "영어 번역에 빠진 부분이 있습니다",
        "translation_missing": "영어 번역을 만들지 못했습니다. 인식한 글은 그대로 있습니다",
        "rejected_text": "인식 결과 가운데 믿을 수 없어 버린 부분이 있습니다",
        "language_mismatch": "요청한 언어가 아닌 말로 들립니다. 인식한 글을 믿을 수 없습니다",
        "language_changes": "통화 중간에 요청한 언어가 아닌 말로 들리는 구간이 있습니다",
        "no_speech": "녹음에서 말소리를 찾지 못했습니다",
        "not_asked": "시간이나 답의 길이가 모자라 분석기에 묻지 않은 항목이나 구간이 있습니다",
        "not_taken": "요청한 설정 가운데 인식 모델이 지원하지 않아 적용하지 못한 것이 있습니다",
        "speakers_failed": "목소리로 말한 사람을 구분하지 못했습니다",
        "speaker_unknown": "말한 사람을 알 수 없는 발화가 있습니다",
    }
)
"""Every code, and what a person reads."""

BARS_ABSENCE = frozenset(
    {
        "damaged",
        "cut",
        "unknown_codec",
        "too_quiet",
        "trailing_bytes",
        "rejected_text",
        "language_mismatch",
    }
)
"""Codes after which nobody can say what the call did not contain.

``no_text`` is not among them: how long it is, and whose voice, decides
(:mod:`api_server.compliance.coverage`). So do the stretches of ``language_changes``.
"""


@dataclass(frozen=True, slots=True)
class AnswerWarning:
    """``code`` is one of :data:`MESSAGES`, ``message`` its Korean text, ``detail`` English."""

    code: str
    message: str
    detail: str


def warning(code: str, detail: str) -> AnswerWarning:
    """Return the warning of that code.

    Raises:
        KeyError: the code is not in the list.
    """
    return AnswerWarning(code, MESSAGES[code], detail)
