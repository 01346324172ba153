"""What the page needs to search, to compare confidence with people, and to try rubrics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_search"
down_revision = "0005_voices"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables; the queue reads every answer again, for its confidences."""
    op.create_table(
        "search_texts",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
    )
    op.add_column("review_findings", sa.Column("confidence", sa.Double))
    _create_rubrics()
    op.execute(
        "UPDATE review_cases SET revision = 0 "
        "WHERE case_seq IN (SELECT seq FROM cases WHERE erased_at IS NULL)"
    )


def _create_rubrics() -> None:
    op.create_table(
        "rubrics",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(120), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("added_by", sa.String(100), nullable=False),
        sa.Column("added_at", sa.Double, nullable=False),
    )
    op.create_table(
        "rubric_trials",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("sha256", sa.String(64), sa.ForeignKey("rubrics.sha256"), nullable=False),
        sa.Column("before_sha256", sa.String(64), nullable=False),
        sa.Column("asked_by", sa.String(100), nullable=False),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("next_seq", _ROW_ID),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "rubric_trial_changes",
        sa.Column("trial", _ROW_ID, sa.ForeignKey("rubric_trials.seq"), primary_key=True),
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("element", sa.String(60), primary_key=True),
        sa.Column("before", sa.String(16)),
        sa.Column("after", sa.String(16)),
    )
    op.create_index("rubric_trial_changes_case", "rubric_trial_changes", ["case_seq"])
    op.create_table(
        "rubric_changes",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("version", sa.String(120), nullable=False),
        sa.Column("before_sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("proposed_by", sa.String(100), nullable=False),
        sa.Column("proposed_at", sa.Double, nullable=False),
        sa.Column("decided_by", sa.String(100)),
        sa.Column("decided_at", sa.Double),
    )
