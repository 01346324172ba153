"""What a call is checked against."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from api_server.settings.base import EmptyIsNone, Section


class ComplianceSettings(Section):
    """The rubric."""

    heading: ClassVar[str] = "Rubric"

    rubric_path: EmptyIsNone[str | Path] = None
    """Rubric file, or the name of a built-in one (`financial_consumer_protection`,
    `sales_process`); unset: the former."""

    check_min_precision: float = Field(0.9, ge=0.5, le=1, allow_inf_nan=False)
    """Precision that is asked of what is called `violated` without an LLM, for each element, and
    0.05 less of `satisfied`; what is less sure is `undetermined`, reason `suspected`, with its
    words. It holds where the rubric has a model."""
