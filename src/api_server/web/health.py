"""What works, in words for people who are no engineers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from api_server.models import HealthResponse
from api_server.web.rendering import render
from api_server.web.router import DeskDependency, Seeing, review_router
from api_server.web.words import Pair, Tone

router = review_router()

_GOOD = {"ok", "ready", "busy"}
_RESTING: Mapping[str, Pair] = {
    "idle": ("아직 쓰이지 않음", "not in use yet"),
    "stopped": ("아직 쓰이지 않음", "not in use yet"),
    "unknown": ("아직 모름", "not known yet"),
    "starting": ("시작하는 중", "starting"),
}
_WORKS: Pair = ("정상", "works")
_TROUBLE: Pair = ("문제", "in trouble")
_NAMES: Mapping[str, tuple[Pair, Pair]] = {
    "agent": (
        ("LLM 분석기", "LLM"),
        (
            "새 통화의 점검을 규칙만으로 합니다. 규칙이 찾지 못하는 것은 '판단 보류'가 됩니다.",
            "New calls are checked by rules alone; what rules cannot see stays undetermined.",
        ),
    ),
    "jobs": (
        ("작업과 통화 저장소", "jobs and cases"),
        (
            "새 녹음을 받지 못하고 결정을 저장하지 못합니다.",
            "New recordings are not taken, and decisions cannot be saved.",
        ),
    ),
    "queue": (("인식 대기열", "queue"), ("통화가 오래 기다립니다.", "Calls wait long.")),
    "text": (
        ("글 처리", "work on texts"),
        ("개인정보 가림과 점검이 늦어집니다.", "Masking and checks are late."),
    ),
    "audio": (
        ("녹음 해독", "decoder"),
        ("녹음을 열지 못합니다.", "Recordings cannot be opened."),
    ),
}
_ELSE: Pair = ("이 부분을 쓰는 통화의 답이 늦거나 빠집니다.", "Calls that need it are late.")
_RECOGNISER: tuple[Pair, Pair] = (
    ("음성 인식", "speech recognition"),
    (
        "새 통화를 글로 옮기지 못합니다. 이미 나온 답과 결정은 그대로 쓸 수 있습니다.",
        "New calls are not transcribed; answers and decisions that are there can be used.",
    ),
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the server: its name, state, tone, and what its trouble means."""

    name: Pair
    state: Pair
    tone: Tone
    means: Pair | None
    reason: str | None


@router.get("/health")
async def show_health(request: Request, desk: DeskDependency, visitor: Seeing) -> Response:
    """Show what works and what does not."""
    health = desk.service.report.response()
    parts = parts_of(health, desk.service.readiness.reason)
    return render(request, "health.html", visitor=visitor, health=health, parts=parts)


def parts_of(health: HealthResponse, unready: str | None) -> list[Part]:
    """Return the parts of the server, those in trouble first; ``unready``: why, where it is."""
    label, means = _RECOGNISER
    found = [
        Part(label, _TROUBLE, "bad", means, unready)
        if unready
        else Part(label, _WORKS, "good", None, None)
    ]
    found += [_part(one) for one in health.components]
    found += [_circuit(one) for one in health.circuits if one["state"] != "closed"]
    return sorted(found, key=lambda one: ("bad", "good", "quiet").index(one.tone))


def _part(facts: Mapping[str, Any]) -> Part:
    name, state = str(facts["name"]), str(facts["state"])
    label, means = _NAMES.get(name, ((name, name), _ELSE))
    if facts.get("loaded") is False and state in {*_RESTING, *_GOOD}:
        return Part(label, _RESTING["idle"], "quiet", None, None)
    if state in _RESTING:
        return Part(label, _RESTING[state], "quiet", None, None)
    if state in _GOOD:
        return Part(label, _WORKS, "good", None, None)
    reason = facts.get("reason")
    return Part(label, _TROUBLE, "bad", means, str(reason) if reason else None)


def _circuit(facts: Mapping[str, Any]) -> Part:
    label, means = _NAMES["agent"]
    again = facts.get("retry_after")
    state = (
        f"연결을 잠시 멈춤{f' ({again:.0f}초 뒤 다시 시도)' if again else ''}",
        f"not called for now{f' (again in {again:.0f} s)' if again else ''}",
    )
    return Part(label, state, "bad", means, str(facts["target"]))
