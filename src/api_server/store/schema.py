"""The tables. Times are seconds since 1970 in UTC; what is JSON is text.

``SealedText`` is what was said, what was found, and what names somebody: encrypted where there are
keys.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from api_server.store.sealed_text import FileName, SealedText

HEAD = "0006_search"
"""The migration after which the tables are these."""

METADATA = MetaData()

ROW_ID = BigInteger().with_variant(Integer, "sqlite")
"""The type of a row's number."""

RECORDINGS = Table(
    "recordings",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("stored_at", Double, nullable=False),
)
"""The recordings that are kept, each content once."""

JOBS = Table(
    "jobs",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(200), nullable=False),
    Column("idempotency_key", String(255)),
    Column("request_sha256", String(64), nullable=False),
    Column("options", SealedText("jobs.options"), nullable=False),
    Column("metadata", SealedText("jobs.metadata"), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("cancelled_at", Double),
    Column("cases", Integer, nullable=False),
    Column("source", String(16), nullable=False, server_default="request"),
    Column("webhook_url", Text),
    Column("product", String(100)),
    Column("rubric", String(100)),
    UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
)
"""The jobs; ``owner`` is the name of the caller's key, empty without keys. ``source``: ``request``,
``watch`` (a watched folder), or ``call``: its one case is a call that was answered in part.
``product`` and ``rubric`` are those of ``metadata``, empty without; ``None`` until the first sweep
of a store that knew none."""

CASES = Table(
    "cases",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("job_seq", ROW_ID, ForeignKey("jobs.seq"), nullable=False),
    Column("name", SealedText("cases.name"), nullable=False),
    Column("path", SealedText("cases.path")),
    Column("recording", String(64), ForeignKey("recordings.sha256")),
    Column("bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("token", String(64)),
    Column("lease_until", Double),
    Column("received_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("audio_sec", Double),
    Column("error_type", String(100)),
    Column("error", SealedText("cases.error")),
    Column("erased_at", Double),
    Index("cases_ended", "ended_at"),
    Index("cases_turn", "state", "priority", "tries", "seq"),
    Index("cases_of_job", "job_seq", "seq"),
    Index("cases_counted", "job_seq", "state", "bytes", "audio_sec"),
    Index("cases_of_recording", "recording"),
)
"""The cases: each has either a kept ``recording`` or the ``path`` of a file below a root.

``erased_at``: when what was said in it was removed. A case that was erased has its ``recording``
until that can be removed."""

REVISIONS = Table(
    "revisions",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("made_at", Double, nullable=False),
    Column("answer", SealedText("revisions.answer"), nullable=False),
    Column("recording", String(64)),
)
"""Whole answers of cases, from 1 on; never changed, until they are removed: then they are empty.

``recording`` is the hash of what the answer was made from, where it was kept then."""

REPAIRS = Table(
    "repairs",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("missing", String(32), nullable=False),
    Column("target", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("keeps_recording", Boolean, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("token", String(64)),
    Column("lease_until", Double),
    Column("error_type", String(100)),
    Column("error", SealedText("repairs.error")),
    Index("repairs_turn", "status", "target", "not_before"),
)
"""What is missing in the latest answer of a case, and the ``target`` that it waits for."""

WEBHOOKS = Table(
    "webhooks",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("job_seq", ROW_ID, ForeignKey("jobs.seq"), nullable=False),
    Column("url", Text, nullable=False),
    Column("event", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("ended_at", Double),
    Column("error", Text),
    Index("webhooks_turn", "status", "not_before", "seq"),
)
"""What is told to the address that a job names; a row comes with what it tells of."""

WATCHED = Table(
    "watched",
    METADATA,
    Column("path", FileName, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("job", String(64), nullable=False),
    Column("noted_at", Double, nullable=False),
    Index("watched_content", "sha256"),
)
"""The files of watched folders that were taken, and the ``job`` that came of their content."""

AUDIT_ENTRIES = Table(
    "audit_entries",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("facts", Text, nullable=False),
    Column("commitment", String(64)),
    Column("leaf", String(64), nullable=False),
    Index("audit_of_subject", "subject", "seq"),
    Index("audit_of_kind", "kind", "seq"),
)
"""The log, from 0 on: appended to, never changed; ``leaf`` is the hash of the other columns."""

AUDIT_SALTS = Table(
    "audit_salts",
    METADATA,
    Column("seq", ROW_ID, ForeignKey("audit_entries.seq"), primary_key=True),
    Column("salt", String(64), nullable=False),
)
"""The salts of commitments; those of a case are deleted with its content."""

HOLDS = Table(
    "holds",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("placed_at", Double, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", SealedText("holds.reason"), nullable=False),
)
"""Cases of which nothing may be removed."""

FINDINGS = Table(
    "findings",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("findings", SealedText("findings.findings"), nullable=False),
)
"""What was found in cases whose words are gone: elements and their status, without a quote."""

KNOWN_VOICES = Table(
    "known_voices",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("name", SealedText("known_voices.name"), nullable=False),
    Column("embedding", SealedText("known_voices.embedding"), nullable=False),
    Column("model", String(100), nullable=False),
    Column("seconds", Double, nullable=False),
    Column("enrolled_at", Double, nullable=False),
)
"""The voices of agents that were enrolled: numbers of a network (``model``) out of ``seconds`` of
speech. Biometric data: a row is written where there are keys alone."""
