"""The log lines of keys that change, and of people who log in."""

from __future__ import annotations

import logging

from api_server.access.key_ring import KeysLoaded, KeysRefused
from api_server.access.people import LoggedIn, LoginRefused
from api_server.pii.names import mask_name
from stt_engine.log import Table, on

_LONGEST = 60
_WHY = {"password": "비밀번호", "locked": "잠긴 계정", "waits": "쉬는 중"}


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
        lambda event: f"로그인 ({event.name}{', 데모' if event.demo else ''})",
    ),
    on(
        LoginRefused,
        "Access",
        logging.WARNING,
        lambda event: f"로그인 거절 ({mask_name(event.name, _LONGEST)}): {_WHY[event.why]}",
    ),
)
"""``[Access]``."""
