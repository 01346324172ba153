"""The log lines of keys that change."""

from __future__ import annotations

import logging

from api_server.access.key_ring import KeysLoaded, KeysRefused
from stt_engine.log import Table, on

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
)
"""``[Access]``."""
