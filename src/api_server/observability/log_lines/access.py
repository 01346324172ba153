"""The log lines of keys that change, and of people who log in."""

from __future__ import annotations

import logging

from api_server.access.key_ring import KeysLoaded, KeysRefused
from api_server.access.people import LoggedIn, LoginRefused
from api_server.pii.names import mask_name
from stt_engine.log import Table, on

_LONGEST, _LONGEST_DETAIL = 60, 200
_WHY = {
    "password": "비밀번호",
    "locked": "잠긴 계정",
    "waits": "쉬는 중",
    "taken": "다른 사람의 계정 이름",
    "unknown": "없는 계정",
    "no_role": "역할이 있는 그룹에 없음",
    "header": "믿을 수 없는 헤더",
    "provider": "로그인 서버에 연결할 수 없음",
    "proof": "로그인 서버의 답을 믿을 수 없음",
}
_BY = {"password": "", "demo": ", 데모", "proxy": ", 프록시", "oidc": ", OIDC"}


def _refused(event: LoginRefused) -> str:
    detail = f" ({mask_name(event.detail, _LONGEST_DETAIL)})" if event.detail else ""
    return f"로그인 거절 ({mask_name(event.name, _LONGEST)}): {_WHY[event.why]}{detail}"


ACCESS_LINES: Table = (
    on(
        KeysLoaded,
        "Access",
        logging.INFO,
        lambda event: f"API 키를 다시 읽음 ({len(event.names)}개: {', '.join(event.names)})",
    ),
    on(
        KeysRefused,
        "Access",
        logging.ERROR,
        lambda event: f"API 키 파일을 쓸 수 없어 이전 키를 계속 사용: {event.reason}",
    ),
    on(
        LoggedIn,
        "Access",
        logging.INFO,
        lambda event: f"로그인 ({event.name}{_BY[event.by]})",
    ),
    on(
        LoginRefused,
        "Access",
        logging.WARNING,
        _refused,
    ),
)
"""``[Access]``."""
