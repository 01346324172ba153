"""How long cases are kept, how they are proved, and with which keys they are encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from api_server.settings.base import EmptyIsNone, Section


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

    audit_key_file: EmptyIsNone[Path] = None
    """Ed25519 key (PEM) that signs the audit log's checkpoints; it is made with the first one, and
    its public part in `.pub` beside it. Unset: `audit.key` beside the database."""

    audit_checkpoints_file: EmptyIsNone[Path] = None
    """File that checkpoints are appended to. Have it on another machine, or on a share that nobody
    can take back what is written to. Unset: `audit.checkpoints` beside the database."""

    audit_checkpoint_sec: float = Field(3600.0, ge=10)
    """How often the audit log is signed while the server runs."""

    recordings_key_file: EmptyIsNone[Path] = None
    """Keys that recordings, answers and other texts of cases are encrypted with (AES-256-GCM):
    `NAME:BASE64` of 32 bytes a line. The first one is for new ones, the others still open old ones.
    Unset: not encrypted."""

    def proof_files(self, database: Path) -> tuple[Path, Path]:
        """Return the files of the checkpoints and of the key; ``database`` is that of the store."""
        return (
            self.audit_checkpoints_file or database.with_name("audit.checkpoints"),
            self.audit_key_file or database.with_name("audit.key"),
        )
