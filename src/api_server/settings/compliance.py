"""What a call is checked against."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from api_server.settings.base import EmptyIsNone, Section


class ComplianceSettings(Section):
    """The rubric."""

    heading: ClassVar[str] = "Rubric"

    rubric_path: EmptyIsNone[str | Path] = None
    """Rubric file, or the name of a built-in one (`financial_consumer_protection`,
    `sales_process`); unset: the former."""
