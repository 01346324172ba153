"""How the server checks that it works, and what it logs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from api_server.settings.base import EmptyIsNone, Section


class ReadinessSettings(Section):
    """The probes behind GET /health/ready."""

    heading: ClassVar[str] = "Readiness"

    ready_interval_sec: float = Field(10.0, gt=0)
    """How often readiness is checked again (and a lost model loaded again)."""

    ready_proof_sec: float = Field(60.0, gt=0)
    """How often a probe has an idle server transcribe the built-in clip again."""

    ready_canary_text: str = "test speech recognition service"
    """Words of which one must be recognised in the built-in clip before the server is ready.
    Empty: any text will do (for a model that knows no English)."""


class LogSettings(Section):
    """The log."""

    heading: ClassVar[str] = "Log"

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged."""

    log_format: Literal["line", "json"] = "line"
    """`line`, or `json` with the same fields and `request_id`."""

    log_file: EmptyIsNone[Path] = Path("logs/api-server.log")
    """Rotating log file (10 MiB, five old ones) besides stdout; empty: none."""

    log_transcripts: bool = False
    """Allow transcript text in the log. Leave off wherever calls are real."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
