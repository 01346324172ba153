"""Texts that a careless pattern needs quadratic time for, or more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import product

from benchmarks.attack.trial import Target, Trial, anything, asked

_SIZE = 60_000
_UNITS = (
    " ", ".", "\n가", ",111", "1", "일 ", "이백", "원금보장", "원금 보장 ", "아니 ",
    "네.", "?", "(", "<통화>", "고객: ", "a@", "010-", "1-", "ㄱ", "각", "\u1100",
    "\u0301", "\u200b", "😀", "```", "{", '"', "\\",
)  # fmt: skip
_ENDS = ("", "가", " 원금이 보장됩니다")
_BODIES = {
    "2.5 million {}": b'{"segments": [' + b",".join([b"{}"] * 2_500_000) + b"]}",
    "10 MB of [": b"[" * 10_000_000,
    "a number of a million digits": b'{"text": ' + b"1" * 1_000_000 + b"}",
    "no UTF-8": b'{"text": "\xff\xfe"}',
    "half a body": b'{"text": "',
    "NaN": b'{"segments": [{"text": "a", "start": NaN}]}',
    "a lone surrogate": b'{"text": "\\ud800"}',
    "the same name twice": b'{"text": "a", "text": "b"}',
    "an unknown field": b'{"text": "a", "strikt": true}',
}


async def texts(target: Target) -> AsyncIterator[Trial]:
    """Send each unit again and again, with something after it, one call a text."""
    headers = {"Content-Type": "application/json"}
    for unit, end in product(_UNITS, _ENDS):
        text = unit * (_SIZE // len(unit)) + end
        body = json.dumps({"text": text}).encode()
        name = f"{unit!a} x {_SIZE // len(unit)}, then {end or 'nothing'}"
        yield await asked(
            target, name, "POST", "/analyze", anything, how={"content": body, "headers": headers}
        )
    for name, body in _BODIES.items():
        yield await asked(
            target, name, "POST", "/analyze", how={"content": body, "headers": headers}
        )
