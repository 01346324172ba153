"""The clocks of MPEG streams (90 kHz): where one begins again, another recording does."""

from __future__ import annotations

from collections.abc import Sequence

_BACK, _STEP, _WRAP = 9_000, 180_000, 1 << 33


def begins_again(clocks: Sequence[int], at: int) -> bool:
    """Return whether the clock goes back before ``clocks[at]``, for another recording.

    It may wrap instead, and one that is wrong goes forward or back beside it, too.
    """
    back = clocks[at] - clocks[at - 1]
    if not -_WRAP // 2 < back < -_BACK:
        return False
    before = clocks[at - 1] - clocks[at - 2] if at > 1 else 0
    after = clocks[at + 1] - clocks[at] if at + 1 < len(clocks) else 0
    goes_on = (at > 1 and _is_step(before + back)) or (after and _is_step(back + after))
    return not goes_on and _is_step(before) and _is_step(after)


def _is_step(units: int) -> bool:
    return 0 <= units <= _STEP
