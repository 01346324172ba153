"""What the page says about findings, in Korean and in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from api_server.store.review_records import GroupedBy

Language = Literal["ko", "en"]
Pair = tuple[str, str]
"""The Korean and the English words."""

Tone = Literal["bad", "warn", "good", "quiet"]


def pick(pair: Pair, language: Language) -> str:
    """Return the words of a language."""
    return pair[0] if language == "ko" else pair[1]


STATUS: Mapping[tuple[str, str], tuple[Pair, Tone]] = {
    ("prohibited", "violated"): (("위반", "violated"), "bad"),
    ("prohibited", "not_found"): (("위반 발언 없음", "not said"), "good"),
    ("required", "satisfied"): (("이행", "given"), "good"),
    ("required", "not_found"): (("누락", "missing"), "bad"),
    ("prohibited", "undetermined"): (("판단 보류", "undetermined"), "quiet"),
    ("required", "undetermined"): (("판단 보류", "undetermined"), "quiet"),
    ("prohibited", "not_applicable"): (("해당 없음", "not applicable"), "quiet"),
    ("required", "not_applicable"): (("해당 없음", "not applicable"), "quiet"),
    ("sample", "not_found"): (("찾은 것 없음", "nothing found"), "quiet"),
}
"""The words and the tone of a status, by the element's kind."""

SUSPECTED: Pair = ("의심", "suspected")
DOUBTED: Pair = ("의심 낮음", "doubtful")
LOOK: Pair = ("확인 필요", "needs a look")

SOURCE: Mapping[str | None, Pair] = {
    "rules": ("규칙", "rules"),
    "llm": ("LLM 분석기", "LLM"),
    "both": ("규칙과 LLM 분석기 모두", "rules and LLM"),
    None: ("확정한 쪽 없음", "nobody is sure"),
}

KIND: Mapping[str, Pair] = {
    "prohibited": ("하면 안 되는 말", "must not be said"),
    "required": ("꼭 해야 하는 말", "has to be said"),
    "sample": ("기계가 찾은 것이 없는 통화", "a call in which the machine found nothing"),
}

SPEAKER: Mapping[str | None, Pair] = {
    "agent": ("상담원", "agent"),
    "customer": ("고객", "customer"),
    None: ("화자 미상", "unknown speaker"),
}

UNHEARD: Mapping[str, Pair] = {
    "no_text": ("말소리가 있으나 글로 옮기지 못함", "voice without text"),
    "other_language": ("요청한 언어가 아님", "another language"),
    "damaged": ("녹음이 손상됨", "damaged"),
    "lost": ("기록되지 않은 소리", "lost sound"),
    "cut": ("파일의 끝이 잘림", "cut off"),
    "unknown_codec": ("해독할 수 없는 트랙", "unknown codec"),
    "unreadable": ("열 수 없는 부분", "unreadable"),
    "failed": ("인식하지 못함", "not recognised"),
}

GROUPED_BY: Mapping[GroupedBy, Pair] = {
    "element": ("항목", "element"),
    "week": ("주(월요일부터)", "week (from Monday)"),
    "agent": ("상담원", "agent"),
    "product": ("상품", "product"),
}

NUMBERS: tuple[Pair, ...] = (
    ("점검한 통화", "calls checked"),
    ("기계: 위반·누락", "machine: violated or missing"),
    ("기계: 의심", "machine: suspected"),
    ("기계: 판단 보류", "machine: undetermined"),
    ("결정 대기", "waiting"),
    ("확정된 위반", "confirmed"),
    ("기각", "rejected"),
    ("사람도 판단 보류", "undetermined by people"),
    ("기계가 놓침", "missed by the machine"),
    ("정밀도", "precision"),
    ("정밀도 하한 95%", "precision, lower 95 %"),
    ("정밀도 상한 95%", "precision, upper 95 %"),
    ("정밀도의 건수", "precision, of"),
    ("카파", "kappa"),
    ("카파 하한 95%", "kappa, lower 95 %"),
    ("카파 상한 95%", "kappa, upper 95 %"),
    ("카파의 건수", "kappa, of"),
)
"""The columns of the numbers, behind the one of the group."""

CALIBRATION: tuple[Pair, ...] = (
    ("항목", "element"),
    ("확신 부터", "confidence from"),
    ("확신 까지", "confidence to"),
    ("판단 건수", "judgements"),
    ("확신 평균", "mean confidence"),
    ("사람: 있었다", "people: it was said"),
    ("하한 95%", "lower 95 %"),
    ("상한 95%", "upper 95 %"),
    ("맞는가", "does it fit"),
)
"""The columns of confidences beside what people settled."""

FINDING_COLUMNS: tuple[Pair, ...] = (
    ("통화 번호", "case"),
    ("파일", "file"),
    ("받은 때(한국 시각)", "received (Korean time)"),
    ("상담원", "agent"),
    ("상품", "product"),
    ("항목 번호", "element"),
    ("항목", "title"),
    ("기계의 판정", "machine"),
    ("검토 상태", "state"),
    ("확정된 판정", "settled as"),
    ("다른 항목", "other element"),
    ("첫 검토자", "first reviewer"),
    ("두 번째 검토자", "second reviewer"),
)

REVIEW: Mapping[str, Pair] = {
    "none": ("결정할 것 없음", "nothing to decide"),
    "open": ("첫 검토 대기", "waits for a first reviewer"),
    "second": ("두 번째 확인 대기", "waits for a second person"),
    "third": ("의견 갈림·이의: 선임 대기", "disputed: waits for a senior"),
    "settled": ("확정", "settled"),
}

RUBRIC_STATE: Mapping[str, tuple[Pair, Tone]] = {
    "open": (("동의 대기", "waits for consent"), "warn"),
    "used": (("사용하기로 함", "taken into use"), "good"),
    "refused": (("거절", "refused"), "quiet"),
    "withdrawn": (("거둠", "withdrawn"), "quiet"),
    "running": (("시험 중", "being tried"), "warn"),
    "done": (("시험 끝", "tried"), "good"),
    "stopped": (("중단", "stopped"), "quiet"),
    "failed": (("시험 실패", "could not be tried"), "bad"),
}
"""The words and the tone of a change to the rubric, and of a trial."""

ACTION: Mapping[str, Pair] = {
    "accept": ("인정", "accepted"),
    "reject": ("기각", "rejected"),
    "change": ("변경", "changed"),
    "undo": ("되돌림", "undone"),
    "comment": ("의견", "comment"),
    "object": ("상담원의 이의", "the agent objects"),
    "swap_roles": ("상담원과 고객 맞바꿈", "agent and customer swapped"),
}

CASE_STATE: Mapping[str, Pair] = {
    "queued": ("대기", "queued"),
    "running": ("처리 중", "at work"),
    "done": ("완료", "done"),
    "partial": ("일부 완료", "partly done"),
    "refused": ("거절", "refused"),
    "failed": ("실패", "failed"),
    "cancelled": ("취소", "cancelled"),
}

ROLE: Mapping[str, Pair] = {
    "viewer": ("열람", "viewer"),
    "reviewer": ("검토자", "reviewer"),
    "senior": ("선임 검토자", "senior reviewer"),
    "auditor": ("감사", "auditor"),
    "admin": ("관리자", "administrator"),
}

REFUSED: Mapping[str, Pair] = {
    "stale": (
        "그 사이에 다른 사람이 결정했거나 답이 바뀌었습니다. 새로 고쳐서 다시 보십시오.",
        "Somebody has decided meanwhile, or there is another answer: reload and look again.",
    ),
    "not_yours": (
        "마지막 결정이 본인의 것이 아니라서 되돌릴 수 없습니다.",
        "The last decision is not yours to undo.",
    ),
    "settled": ("이미 확정된 항목입니다.", "It is settled already."),
    "needs_other": (
        "본인은 이미 결정했습니다. 다른 사람의 확인이 필요합니다.",
        "You have decided already; another person is needed.",
    ),
    "needs_senior": (
        "의견이 갈린 항목은 선임 검토자가 결정합니다.",
        "What is disputed is for a senior reviewer.",
    ),
    "no_reason": ("이유를 적어 주십시오.", "Give a reason."),
    "leased": (
        "다른 검토자가 지금 이 통화를 검토하고 있습니다.",
        "Another reviewer is at this call now.",
    ),
    "no_element": ("이 답에는 없는 항목입니다.", "The answer has no such element."),
    "bad_status": ("고를 수 없는 판정입니다.", "That status cannot be chosen."),
    "nothing_to_object": (
        "위반으로 확정된 것에만, 한 번 이의를 남길 수 있습니다.",
        "An objection is to what is settled against somebody, and once.",
    ),
    "proposed": (
        "다른 변경이 동의를 기다리고 있습니다. 먼저 그것을 끝내십시오.",
        "Another change waits for consent: close that one first.",
    ),
    "untried": (
        "지금 쓰는 점검표와 견주어 끝까지 시험한 것만 제안할 수 있습니다. 먼저 시험하십시오.",
        "Only what was tried to the end beside the rubric in force can be proposed: try it first.",
    ),
    "no_name": ("보기의 이름을 적어 주십시오.", "Give the view a name."),
    "too_many": ("보기를 더 저장할 수 없습니다.", "No more views can be kept."),
    "too_long": ("너무 깁니다.", "That is too long."),
}

REJECT_REASONS: tuple[Pair, ...] = (
    ("고객이 한 말임", "The customer said it"),
    ("부정하거나 경고하는 말임", "It denies or warns"),
    ("앞뒤 문맥상 해당하지 않음", "In its context it is not that"),
    ("글이 잘못 옮겨짐", "The transcript is wrong here"),
)
"""Reasons for a rejection that one key gives."""
