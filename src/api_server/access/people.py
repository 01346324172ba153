"""What the page for reviewers tells its observers of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stt_engine.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn(Event):
    """Somebody has logged in by the name of an account, or as one of the demo's people."""

    name: str
    demo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(Event):
    """Nobody was let in; ``name`` is what was given, and may be anything."""

    name: str
    why: Literal["password", "locked", "waits"]
