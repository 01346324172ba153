"""What a job's recordings are about, as far as days of retention depend on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_tags"
down_revision = "0003_decisions"


def upgrade() -> None:
    """Make the columns; those of jobs that are there are filled by the next sweep."""
    op.add_column("jobs", sa.Column("product", sa.String(100)))
    op.add_column("jobs", sa.Column("rubric", sa.String(100)))
