"""Answers that are to be completed, and whether a job's cases came with it or with a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_repair"
down_revision = "0002_audit"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table of repairs, and the column that tells calls from jobs."""
    op.add_column(
        "jobs", sa.Column("source", sa.String(16), nullable=False, server_default="request")
    )
    op.create_table(
        "repairs",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("missing", sa.String(32), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("keeps_recording", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("token", sa.String(64)),
        sa.Column("lease_until", sa.Double),
        sa.Column("error_type", sa.String(100)),
        sa.Column("error", sa.Text),
    )
    op.create_index("repairs_turn", "repairs", ["status", "target", "not_before"])
