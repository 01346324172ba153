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
    false,
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
    Column("received_at", Double),
    Column("week", Integer),
    Column("agent", String(100)),
    Column("product", String(100)),
    Column("sampled", Boolean, nullable=False, server_default=false()),
    Index("review_cases_received_at", "received_at", "rank", "case_seq"),
    Index("review_cases_agent", "agent", "rank", "case_seq"),
    Index("review_cases_product", "product", "rank", "case_seq"),
    Index("review_cases_turn", "state", "rank", "case_seq"),
    Index("review_cases_rank", "rank", "case_seq"),
    Index("review_cases_lease", "lease_by"),
)
"""What the queue knows of a case; made from its latest answer and its decisions.

``agent`` and ``product`` are of the job's metadata; ``week`` counts from that of 1970 on;
``sampled``: nothing was found, and a person listens whether that is so."""

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
    Column("third_by", String(100)),
    Column("decided", String(16)),
    Column("moved_to", String(60)),
    Column("confidence", Double),
    Index("review_findings_by_status", "element", "status"),
)
"""The findings of a case's latest answer, and how far people are with each.

``decided`` is the status that people have settled on, ``moved_to`` the element whose violation they
say it is, ``confidence`` how likely it is by rules and model that it was said."""

REVIEW_VIEWS = Table(
    "review_views",
    METADATA,
    Column("actor", String(100), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("query", Text, nullable=False),
)
"""The filters that a person has kept under a name."""

REVIEW_PASSES = Table(
    "review_passes",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("actor", String(100), primary_key=True),
    Column("until", Double, nullable=False),
)
"""Cases that a person has put off."""

SEARCH_TEXTS = Table(
    "search_texts",
    METADATA,
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("words", SealedText("search_texts.words"), nullable=False),
    Column("lines", SealedText("search_texts.lines"), nullable=False),
)
"""The words of a case's latest answer as the page shows them, masked, to be searched.

``words`` has a line for each sentence: letters and digits alone. ``lines`` is JSON: of each
sentence its start in seconds, its speaker and its text. ``state``: ``ready``, ``withheld`` (it
could not be masked) or ``unread`` (the answer cannot be read)."""

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
