"""The log of what was done, holds, and what is left of a case whose words are gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002_audit"
down_revision = "0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of the log, and have the database refuse to change its entries."""
    op.create_table(
        "audit_entries",
        sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("commitment", sa.String(64)),
        sa.Column("leaf", sa.String(64), nullable=False),
    )
    op.create_index("audit_of_subject", "audit_entries", ["subject", "seq"])
    op.create_index("audit_of_kind", "audit_entries", ["kind", "seq"])
    op.create_table(
        "audit_salts",
        sa.Column("seq", _ROW_ID, sa.ForeignKey("audit_entries.seq"), primary_key=True),
        sa.Column("salt", sa.String(64), nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("placed_at", sa.Double, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "findings",
        sa.Column("case_seq", _ROW_ID, sa.ForeignKey("cases.seq"), primary_key=True),
        sa.Column("findings", sa.Text, nullable=False),
    )
    op.add_column("revisions", sa.Column("recording", sa.String(64)))
    op.add_column("cases", sa.Column("erased_at", sa.Double))
    op.create_index("cases_ended", "cases", ["ended_at"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit_entries "
                "BEGIN SELECT RAISE(ABORT, 'entries of the audit log are never changed'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_no_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'entries of the audit log are never changed'; END$$"
        )
        op.execute(
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_no_change()"
        )
