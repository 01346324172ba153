"""The drill's misbehaving server, as the tests use it."""

from __future__ import annotations

from stt_tools.drill.fault_server import (
    MODELS,
    Exchange,
    FaultServer,
    Script,
    answer,
    completion,
    die_mid_body,
    endless,
    hang,
    http,
    in_turn,
    not_http,
    refused_port,
    reset_at_once,
    reset_mid_body,
    slow_headers,
    trickle,
)

__all__ = [
    "MODELS",
    "Exchange",
    "FaultServer",
    "Script",
    "answer",
    "completion",
    "die_mid_body",
    "endless",
    "hang",
    "http",
    "in_turn",
    "not_http",
    "refused_port",
    "reset_at_once",
    "reset_mid_body",
    "slow_headers",
    "trickle",
]
