"""Decisions of people, the queue of reviewers, accounts and sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_decisions"
down_revision = "0002_watch"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_FIXED = "BEGIN SELECT RAISE(ABORT, 'decisions are never changed'); END"
_FACTS = (
    "seq case_seq revision element action machine_status status other_element actor made_at undoes "
    "rubric_version"
).split()


def upgrade() -> None:
    """Make the tables of the page."""
    op.create_table(
        "decisions",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("element", sa.String(60), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("machine_status", sa.String(16)),
        sa.Column("status", sa.String(16)),
        sa.Column("other_element", sa.String(60)),
        sa.Column("quote", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("undoes", _ROW_ID),
        sa.Column("rubric_version", sa.String(120), nullable=False),
    )
    op.create_index("decisions_of_case", "decisions", ["case_seq", "seq"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER decisions_delete BEFORE DELETE ON decisions {_FIXED}")
        # Words of people may quote the call: they can be removed with it, and nothing else can.
        kept = " OR ".join(f"NEW.{one} IS NOT OLD.{one}" for one in _FACTS)
        op.execute(
            "CREATE TRIGGER decisions_update BEFORE UPDATE ON decisions "
            f"WHEN NEW.quote IS NOT NULL OR NEW.reason <> '' OR {kept} {_FIXED}"
        )
    else:
        _fix_decisions()
    _create_queue()
    _create_accounts()
    op.create_index("revisions_made", "revisions", ["made_at"])


def _fix_decisions() -> None:
    """Have PostgreSQL refuse what SQLite does."""
    op.execute(
        "CREATE FUNCTION decisions_no_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'decisions are never changed'; END$$"
    )
    calls = "EXECUTE FUNCTION decisions_no_change()"
    op.execute(
        "CREATE TRIGGER decisions_delete BEFORE DELETE OR TRUNCATE ON decisions "
        f"FOR EACH STATEMENT {calls}"
    )
    kept = " OR ".join(f"NEW.{one} IS DISTINCT FROM OLD.{one}" for one in _FACTS)
    op.execute(
        "CREATE TRIGGER decisions_update BEFORE UPDATE ON decisions FOR EACH ROW "
        f"WHEN (NEW.quote IS NOT NULL OR NEW.reason <> '' OR {kept}) {calls}"
    )


def _create_queue() -> None:
    op.create_table(
        "review_cases",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("rank", sa.Double, nullable=False),
        sa.Column("degraded", sa.Boolean, nullable=False),
        sa.Column("warnings", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("lease_by", sa.String(100)),
        sa.Column("lease_until", sa.Double),
    )
    op.create_index("review_cases_turn", "review_cases", ["state", "rank", "case_seq"])
    op.create_index("review_cases_rank", "review_cases", ["rank", "case_seq"])
    op.create_index("review_cases_lease", "review_cases", ["lease_by"])
    op.create_table(
        "review_findings",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("element", sa.String(60), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("wanted", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("first_by", sa.String(100)),
        sa.Column("second_by", sa.String(100)),
    )
    op.create_index("review_findings_by_status", "review_findings", ["element", "status"])
    op.create_table(
        "review_passes",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("actor", sa.String(100), primary_key=True),
        sa.Column("until", sa.Double, nullable=False),
    )


def _create_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String(100), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("locked_at", sa.Double),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.Double, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        sa.Column("user", sa.String(100), nullable=False),
        sa.Column("demo_role", sa.String(16)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
    op.create_index("sessions_of_user", "sessions", ["user"])
