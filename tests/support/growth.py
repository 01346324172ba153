"""How the time of a work grows with its text, by the time of its thread alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

UNITS = (
    *("a", " ", "1", "일", "이 ", "1-1 ", ",111", ".", "? ", "-", "가일", "원금보장", "@", " at "),
    *("골뱅이", "a@b.c ", "m 1", "점", "네, ", "일이삼사", "010-1234-5678 ", "공일공 아니 "),
    *("123456-", "12:", "천백십", "0.1", "\n", "계좌 1 ", "요 ", "①", "ᄀ", "이고요", "뒷자리1"),
    *(
        "이 맞 ",
        "일 거 ",
        "1 - ",
        "뒷자리 1 ",
        "cvc ",
        "더블 ",
        "오 네 개 ",
        "1,234,567 ",
        "* 아니 12 ",
    ),
)
STEP = 4
_LONG_SEC = 0.5
_TOO_FAST = 8.0  # between the 4 of what is linear and the 16 of what is not


def text(unit: str, size: int) -> str:
    """Return ``size`` letters: a unit over and over, and a sign that no expression ends with.

    Without this end an expression such as ``\\s+\\Z`` would match at once, and never go back.
    """
    return (unit * size)[: size - 1] + "☃"


def seconds(work: Callable[[Any], object], given: object, times: int = 1) -> float:
    """Return the shortest time of several."""
    best = 1e9
    for _ in range(times):
        began = time.thread_time()
        work(given)
        best = min(best, time.thread_time() - began)
    return best


def grows_faster(work: Callable[[Any], object], small: object, large: object) -> bool:
    """Return whether four times the text takes far more than four times as long, repeatedly."""
    times = 3 if seconds(work, large) < _LONG_SEC else 1  # what takes long varies little
    return all(
        seconds(work, large, times) > _TOO_FAST * seconds(work, small, times) + 0.0005
        for _ in range(times)
    )


def suspect_size(
    work: Callable[[Any], object], unit: str, sizes: tuple[int, ...], microseconds: float
) -> int:
    """Return the first of ``sizes`` at which a letter takes too long and growth shows, else 0.

    A letter that takes long may be honest work: only then is it worth to measure with care.
    """
    for size in sizes:
        if seconds(work, text(unit, size)) > size * microseconds / 1e6 and grows_faster(
            work, text(unit, size // STEP), text(unit, size)
        ):
            return size
    return 0
