"""Which cases were erased: nothing is left of them, but for a recording that has to wait."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_

from api_server.store.schema import CASES

ERASED = and_(CASES.c.erased_at.is_not(None), CASES.c.name == "")
"""The condition that a case was."""


def is_erased(row: Row[Any]) -> bool:
    """Return whether the case of a row was."""
    return row.erased_at is not None and not row.name
