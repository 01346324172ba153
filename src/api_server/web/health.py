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
    "database": (
        ("데이터베이스", "database"),
        (
            "작업과 결정이 저장되지 않습니다. 이미 나온 결과는 저장될 때까지 보관합니다.",
            "Jobs and decisions are not saved; results that are there wait until they are.",
        ),
    ),
    "recordings": (
        ("녹음 저장소", "store of recordings"),
        (
            "새 녹음을 받지 못하고, 저장된 녹음을 듣지 못합니다. 통화는 기다렸다가 처리합니다.",
            "New recordings are not taken and kept ones cannot be heard; cases wait for it.",
        ),
    ),
    "watch folder": (
        ("감시 폴더", "watched folder"),
        (
            "녹취 장비가 넣은 파일을 가져오지 못합니다. 돌아오면 빠짐없이 가져옵니다.",
            "What recorders put there is not taken; all of it is when the folder is back.",
        ),
    ),
    "audio root": (
        ("녹음 폴더", "folder of recordings"),
        ("이 폴더의 녹음을 읽지 못합니다.", "Recordings in it cannot be read."),
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
    """A part of the server: its name, state, tone, what its trouble means, and since when."""

    name: Pair
    state: Pair
    tone: Tone
    means: Pair | None
    reason: str | None
    since: str | None = None


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
    label, means = _named(name)
    if facts.get("loaded") is False and state in {*_RESTING, *_GOOD}:
        return Part(label, _RESTING["idle"], "quiet", None, None)
    if state in _RESTING:
        return Part(label, _RESTING[state], "quiet", None, None)
    if state in _GOOD:
        return Part(label, _WORKS, "good", None, None)
    reason, since = facts.get("reason"), facts.get("since")
    told = str(reason) if reason else None
    return Part(label, _TROUBLE, "bad", means, told, str(since) if since else None)


def _named(name: str) -> tuple[Pair, Pair]:
    """Return what a component is called, and what its trouble means; one of many has a number."""
    if name in _NAMES:
        return _NAMES[name]
    kind, _, number = name.rpartition(" ")
    if kind not in _NAMES:
        return (name, name), _ELSE
    (korean, english), means = _NAMES[kind]
    return (f"{korean} {number}", f"{english} {number}"), means


def _circuit(facts: Mapping[str, Any]) -> Part:
    label, means = _NAMES["agent"]
    again = facts.get("retry_after")
    state = (
        f"연결을 잠시 멈춤{f' ({again:.0f}초 뒤 다시 시도)' if again else ''}",
        f"not called for now{f' (again in {again:.0f} s)' if again else ''}",
    )
    return Part(label, state, "bad", means, str(facts["target"]))
