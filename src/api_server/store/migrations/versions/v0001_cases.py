"""Jobs, cases, revisions, recordings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "recordings",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("stored_at", sa.Double, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("cancelled_at", sa.Double),
        sa.Column("cases", sa.Integer, nullable=False),
        sa.UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
    )
    op.create_table(
        "cases",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("job_seq", _ROW_ID, sa.ForeignKey("jobs.seq"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("recording", sa.String(64), sa.ForeignKey("recordings.sha256")),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("token", sa.String(64)),
        sa.Column("lease_until", sa.Double),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("audio_sec", sa.Double),
        sa.Column("error_type", sa.String(100)),
        sa.Column("error", sa.Text),
    )
    op.create_index("cases_turn", "cases", ["state", "priority", "tries", "seq"])
    op.create_index("cases_of_job", "cases", ["job_seq", "seq"])
    op.create_index("cases_counted", "cases", ["job_seq", "state", "bytes", "audio_sec"])
    op.create_index("cases_of_recording", "cases", ["recording"])
    op.create_table(
        "revisions",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
    )
