"""What is told to the address that a job names, kept until it has arrived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_webhooks"
down_revision = "0002_repair"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table of webhooks, and the column with a job's address."""
    op.add_column("jobs", sa.Column("webhook_url", sa.Text))
    op.create_table(
        "webhooks",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("job_seq", _ROW_ID, sa.ForeignKey("jobs.seq"), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("error", sa.Text),
    )
    op.create_index("webhooks_turn", "webhooks", ["status", "not_before", "seq"])
