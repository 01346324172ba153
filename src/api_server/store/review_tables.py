"""The tables of the page for reviewers. Times are seconds since 1970 in UTC."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from api_server.store.schema import METADATA, REVISIONS, ROW_ID
from api_server.store.sealed_text import SealedText

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("element", String(60), nullable=False),
    Column("action", String(16), nullable=False),
    Column("machine_status", String(16)),
    Column("status", String(16)),
    Column("other_element", String(60)),
    Column("quote", SealedText("decisions.quote")),
    Column("reason", SealedText("decisions.reason"), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("made_at", Double, nullable=False),
    Column("undoes", ROW_ID),
    Column("rubric_version", String(120), nullable=False),
    Index("decisions_of_case", "case_seq", "seq"),
)
"""What people decided, beside the answers: rows are added and never changed (a trigger sees to it).

``element`` is empty for a comment on the whole call; ``undoes`` is the ``seq`` of another row."""

REVIEW_CASES = Table(
    "review_cases",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("rank", Double, nullable=False),
    Column("degraded", Boolean, nullable=False),
    Column("warnings", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("lease_by", String(100)),
    Column("lease_until", Double),
    Index("review_cases_turn", "state", "rank", "case_seq"),
    Index("review_cases_rank", "rank", "case_seq"),
    Index("review_cases_lease", "lease_by"),
)
"""What the queue knows of a case; made from its latest answer and its decisions."""

REVIEW_FINDINGS = Table(
    "review_findings",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("element", String(60), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("wanted", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("first_by", String(100)),
    Column("second_by", String(100)),
    Index("review_findings_by_status", "element", "status"),
)
"""The findings of a case's latest answer, and how far people are with each."""

REVIEW_PASSES = Table(
    "review_passes",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("actor", String(100), primary_key=True),
    Column("until", Double, nullable=False),
)
"""Cases that a person has put off."""

USERS = Table(
    "users",
    METADATA,
    Column("name", String(100), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("locked_at", Double),
    Column("failures", Integer, nullable=False),
    Column("failed_at", Double, nullable=False),
)
"""Who may log in; ``secret_hash`` is argon2's."""

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("token_sha256", String(64), primary_key=True),
    Column("user", String(100), nullable=False),
    Column("demo_role", String(16)),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Index("sessions_of_user", "user"),
)
"""Who is logged in; ``demo_role`` where there is no account behind it."""

Index("revisions_made", REVISIONS.c.made_at)
