"""What :mod:`stt_engine.protocol` has for telling voices apart: the job, its steps, its result."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal, TypedDict


class DiariseJob(TypedDict):
    """A request to tell voices of a channel apart in ``spans``, in seconds, by a network.

    ``narrow``: by what a telephone has alone; the ``embedding`` can be compared with others then.
    """

    operation: Literal["diarise"]
    weights: str
    file: str
    spans: list[tuple[float, float]]
    narrow: bool


class DiariseStep(TypedDict):
    """A part of a channel was looked at, and another call may have its turn."""

    kind: Literal["voices_part"]


class DiariseResult(TypedDict):
    """Who speaks in each step of ``step_sec`` seconds with speech: ``voice`` is 0 or 1.

    ``probability`` is how sure that is, 0.5 to 1; ``voices`` how many there are, 0 where nobody
    speaks, 3 for more than two (nobody knows then who speaks), ``None`` where that cannot be told;
    ``likeness`` how alike the two are that were compared, ``None`` where there is too little of
    one. Until ``announced_until``, in seconds, an announcement speaks that is nobody of the call;
    ``None`` without one. ``embedding`` is the mean of all steps (192 numbers, a length of 1), empty
    without any.
    """

    kind: Literal["voices"]
    voices: int | None
    likeness: float | None
    step_sec: float
    starts: list[float]
    voice: list[int]
    probability: list[float]
    announced_until: float | None
    embedding: list[float]


DiariseSteps = Generator[DiariseStep, None, DiariseResult]
