"""The ledger of watched folders: which file was taken, as which case."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_watch"
down_revision = "0002_webhooks"


def upgrade() -> None:
    """Make the ledger."""
    op.create_table(
        "watched",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("modified_ns", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("noted_at", sa.Double, nullable=False),
    )
    op.create_index("watched_content", "watched", ["sha256"])
