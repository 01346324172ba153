"""What the page for reviewers tells its observers of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stt_engine.events import Event

Why = Literal[
    "password", "locked", "waits", "taken", "unknown", "no_role", "header", "provider", "proof"
]
"""``taken``: the name is another one's account; ``unknown``: no account; ``header``: a header that
is not believed; ``provider``: it gives no answer; ``proof``: its answer proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn(Event):
    """Somebody has logged in by the name of an account, or as one of the demo's people."""

    name: str
    by: Literal["password", "demo", "proxy", "oidc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(Event):
    """Nobody was let in; ``name`` and ``detail`` are what was given, and may be anything."""

    name: str
    why: Why
    detail: str = ""
