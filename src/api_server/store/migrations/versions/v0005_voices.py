"""The voices of agents that were enrolled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_voices"
down_revision = "0004_review_numbers"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "known_voices",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("embedding", sa.Text, nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("enrolled_at", sa.Double, nullable=False),
    )
