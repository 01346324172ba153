"""A store that any earlier version of the tables has made opens, with all that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, text

from api_server.store import migrations
from api_server.store.database import Database
from api_server.store.decisions import NewDecision
from api_server.store.records import Ending
from api_server.store.review_records import CaseFacts, FindingFacts
from api_server.store.schema import HEAD, METADATA
from tests.support.clock import Clock
from tests.support.jobs_in_store import PLACES, store_at

FOLDER = Path(migrations.__file__).parent
STEPS = [one.revision for one in ScriptDirectory(str(FOLDER)).walk_revisions()][::-1]

HELD = {
    "0001": """
        INSERT INTO recordings (sha256, bytes, stored_at) VALUES ('ab', 3, 1);
        INSERT INTO jobs (id, owner, idempotency_key, request_sha256, options, metadata, priority,
            created_at, cases)
        VALUES ('job-1', 'a', 'key', 'b', '{}', '{"product": "fund"}', 5, 1, 2);
        INSERT INTO cases (id, job_seq, name, path, bytes, state, priority, tries, not_before,
            received_at, ended_at, error)
        VALUES ('case-1', 1, 'a.wav', '/a.wav', 3, 'partial', 5, 1, 0, 1, 2, 'no agent');
        INSERT INTO cases (id, job_seq, name, recording, bytes, state, priority, tries, not_before,
            received_at)
        VALUES ('case-2', 1, 'b.wav', 'ab', 3, 'queued', 5, 0, 0, 1);
        INSERT INTO revisions (case_seq, number, made_at, answer) VALUES (1, 1, 2, '{}')
    """,
    "0002_audit": """
        INSERT INTO holds (case_seq, placed_at, actor, reason) VALUES (1, 3, 'kim', 'dispute');
        INSERT INTO findings (case_seq, findings) VALUES (1, '[]')
    """,
    "0002_repair": """
        INSERT INTO repairs (case_seq, missing, target, status, keeps_recording, expires_at,
            not_before, tries)
        VALUES (1, 'agent', 'http://agent', 'pending', false, 1e12, 0, 0)
    """,
    "0002_webhooks": """
        INSERT INTO webhooks (id, job_seq, url, event, body, status, made_at, not_before,
            expires_at, tries)
        VALUES ('msg_1', 1, 'https://a', 'job.done', '{}', 'pending', 1, 0, 1e12, 0)
    """,
    "0002_watch": """
        INSERT INTO watched (path, bytes, modified_ns, sha256, job, noted_at)
        VALUES ('/a.wav', 3, 1, 'ab', 'job-1', 1)
    """,
    "0003_decisions": """
        INSERT INTO decisions (case_seq, revision, element, action, status, quote, reason, actor,
            made_at, rubric_version)
        VALUES (1, 1, 'fees', 'reject', 'satisfied', 'said', 'heard it', 'kim', 3, '1');
        INSERT INTO review_cases (case_seq, revision, rank, degraded, warnings, state, wanted)
        VALUES (1, 1, 0.5, true, 0, 'second', 1);
        INSERT INTO review_findings (case_seq, element, kind, status, wanted, state, first_by)
        VALUES (1, 'fees', 'required', 'not_found', true, 'second', 'kim');
        INSERT INTO users (name, role, secret_hash, created_at, failures, failed_at)
        VALUES ('kim', 'reviewer', 'x', 1, 0, 0)
    """,
    "0004_review_numbers": """
        INSERT INTO review_views (actor, name, query) VALUES ('kim', 'mine', 'state=open')
    """,
}
"""What is put into a store once it has come to a step."""

LEARNT_AGAIN = {"review_cases": "revision"}
"""What a step may change: the queue reads answers anew."""


def rows(connection: Connection, old: MetaData) -> dict[str, list[tuple[Any, ...]]]:
    """Return what every table of ``old`` holds, in its columns of that time."""
    return {
        table.name: [
            tuple(row)
            for row in connection.execute(
                table.select().with_only_columns(
                    *(one for one in table.columns if one.name != LEARNT_AGAIN.get(table.name))
                )
            )
        ]
        for table in old.sorted_tables
        if table.name not in {"alembic_version", "audit_entries", "audit_salts"}
    }


@pytest.mark.parametrize("last", STEPS)
def test_a_store_of_every_version_opens_with_what_it_holds(tmp_path: Path, last: str) -> None:
    where = PLACES.where(tmp_path, tables=False)
    url = f"sqlite:///{where}" if isinstance(where, Path) else where
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    old = MetaData()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        for step in STEPS[: STEPS.index(last) + 1]:
            command.upgrade(config, step)
            for statement in filter(None, HELD.get(step, "").split(";")):
                connection.execute(text(statement))
        old.reflect(connection)
        before = rows(connection, old)
    Database(where).close()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert rows(connection, old) == before
    engine.dispose()

    store = store_at(tmp_path, Clock(1_000.0))
    case, revision = store.get_case("case-1", "a")
    assert revision is not None
    assert (case.state, case.error, revision.answer) == ("partial", "no agent", "{}")
    assert len(store.waiting_repairs()) == (last not in {"0001", "0002_audit"})
    (waits,) = store.claim(10.0, 9)
    assert store.finish(waits, Ending("done", '{"text": "said"}', 1.0))
    finding = FindingFacts("fees", "required", "not_found", wanted=True)
    facts = CaseFacts(case.seq, 1, 1.0, degraded=False, warnings=0, findings=(finding,))
    store.reviews.learn([facts])
    seen = store.reviews.get(case.id).decisions
    decision = NewDecision(
        "reject", "fees", "lee", reason="so did I", status="satisfied", seen=len(seen)
    )
    store.reviews.decide(case.id, 1, decision, 60.0)
    store.sweep()
    store.ledger.checkpoint()
    assert store.ledger.verify().faults == ()


def test_every_step_is_one_after_the_other() -> None:
    assert STEPS[-1] == HEAD
    assert ScriptDirectory(str(FOLDER)).get_heads() == [HEAD]
    assert set(HELD) <= set(STEPS)
