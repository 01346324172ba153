"""How long cases are kept, how they are proved, and with which keys they are encrypted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from api_server.settings.base import CommaSeparated, EmptyIsNone, Section

ALWAYS = "always"
_KEEPERS = {"syslog+tls", "syslog", "https", "http"}
_KINDS = ("recordings", "transcripts", "results")


def parse_rule(rule: str) -> tuple[str, str, dict[str, float]]:
    """Return the tag of a rule, its value, and its days by what they are of.

    Raises:
        ValueError: it is none.
    """
    (tag, value), *given = (one.partition("=")[::2] for one in rule.split(":"))
    names = [name.strip() for name, _ in given]
    if tag.strip() not in {"product", "rubric"} or not value.strip():
        raise ValueError(f"'{rule}' does not begin with product=VALUE or rubric=VALUE")
    if not names or not set(names) <= set(_KINDS) or len(set(names)) < len(names):
        raise ValueError(f"'{rule}': give days of {', '.join(_KINDS)}, each once")
    days = dict(zip(names, (_days(one.strip()) for _, one in given), strict=True))
    return tag.strip(), value.strip(), days


def _days(given: str) -> float:
    days = math.inf if given == ALWAYS else float(given)
    if not days >= 0 or (days == math.inf and given != ALWAYS):
        raise ValueError(f"'{given}' is no number of days, nor '{ALWAYS}'")
    return days


class RetentionSettings(Section):
    """Retention, the audit log, encryption at rest."""

    heading: ClassVar[str] = "Records: retention, proof, encryption"

    retention_recordings_days: float = Field(0.0, ge=0)
    """Days that the recordings of `done`, `partial` and `refused` cases are kept; 0: they go as
    soon as their case has ended."""

    retention_transcripts_days: EmptyIsNone[float] = Field(None, gt=0)
    """Days after the end of a case after which everything that was said in it is removed; what was
    found stays, without a quote. Unset: kept."""

    retention_results_days: EmptyIsNone[float] = Field(None, gt=0)
    """Days after the end of a case after which findings, names and metadata are removed, and
    whatever else is left of it; the log's entries stay. Unset: kept."""

    retention_rules: CommaSeparated[str] = Field([])
    """Other days for cases by the `product` or `rubric` of their job's metadata, comma-separated:
    `product=ELS:recordings=365:transcripts=3650:results=always`. What a rule does not name is as
    for all; of several rules the longest time counts."""

    audit_key_file: EmptyIsNone[Path] = None
    """Ed25519 key (PEM) that signs the audit log's checkpoints; it is made with the first one, and
    its public part in `.pub` beside it. Unset: `audit.key` beside the database."""

    audit_checkpoints_file: EmptyIsNone[Path] = None
    """File that checkpoints are appended to. Have it on another machine, or on a share that nobody
    can take back what is written to. Unset: `audit.checkpoints` beside the database."""

    audit_checkpoints_url: EmptyIsNone[str] = None
    """Where a server sends each checkpoint too, until it has arrived: `syslog+tls://HOST:PORT` (RFC
    5425), `syslog://HOST:PORT` (RFC 5424 over TCP), or `https://...`, signed with
    WEBHOOK_SECRETS."""

    audit_syslog_ca_file: EmptyIsNone[Path] = None
    """Certificates (PEM) that the server of `syslog+tls://` is verified by. Unset: the system's."""

    audit_syslog_cert_file: EmptyIsNone[Path] = None
    """This machine's certificate and its key in one file (PEM), where that server asks for it."""

    audit_checkpoint_sec: float = Field(3600.0, ge=10)
    """How often the audit log is signed while the server runs."""

    recordings_key_file: EmptyIsNone[Path] = None
    """Keys that recordings, answers and other texts of cases are encrypted with (AES-256-GCM):
    `NAME:BASE64` of 32 bytes a line. The first one is for new ones, the others still open old ones.
    Unset: not encrypted."""

    @field_validator("retention_rules")
    @classmethod
    def _are_rules(cls, value: list[str]) -> list[str]:
        for one in value:
            parse_rule(one)
        return value

    @field_validator("audit_checkpoints_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in _KEEPERS or not parts.hostname:
                raise ValueError("give syslog+tls://HOST:PORT, or the URL of a webhook")
            _ = parts.port  # raises where it is no number
        return value

    def proof_files(self, database: Path) -> tuple[Path, Path]:
        """Return the files of the checkpoints and of the key; ``database`` is that of the store."""
        return (
            self.audit_checkpoints_file or database.with_name("audit.checkpoints"),
            self.audit_key_file or database.with_name("audit.key"),
        )
