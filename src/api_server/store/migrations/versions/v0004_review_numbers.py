"""What the numbers and the filters of the page need, and the views that reviewers keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004_review_numbers"
down_revision = "0004_tags"


def upgrade() -> None:
    """Add columns to the queue, and make the table of kept views."""
    for column in (
        sa.Column("received_at", sa.Double),
        sa.Column("week", sa.Integer),
        sa.Column("agent", sa.String(100)),
        sa.Column("product", sa.String(100)),
        sa.Column("sampled", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("review_cases", column)
    for name in ("received_at", "agent", "product"):
        op.create_index(f"review_cases_{name}", "review_cases", [name, "rank", "case_seq"])
    op.add_column("review_findings", sa.Column("decided", sa.String(16)))
    op.add_column("review_findings", sa.Column("moved_to", sa.String(60)))
    op.add_column("review_findings", sa.Column("third_by", sa.String(100)))
    op.create_table(
        "review_views",
        sa.Column("actor", sa.String(100), primary_key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("query", sa.Text, nullable=False),
    )
    # The queue reads these answers again, and learns what it did not know of them.
    op.execute(
        "UPDATE review_cases SET revision = 0 "
        "WHERE case_seq IN (SELECT seq FROM cases WHERE erased_at IS NULL)"
    )
