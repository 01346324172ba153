"""What a model fetch tells its observers besides failures and the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from stt_engine.events import Event

ELSEWHERE = "other process"
"""Source of the outcome where another process had fetched the model in the meantime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchStarted(Event):
    """A model's files are to be fetched."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchWaiting(Event):
    """Another process is fetching the same model; its end is waited for."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgressed(Event):
    """A source has brought ``done`` of ``total`` bytes (0: unknown)."""

    model: str
    source: str
    done: int
    total: int
