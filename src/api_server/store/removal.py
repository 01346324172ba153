"""What is removed: on request, or because its days are over; and holds, which forbid it.

What was said, names and metadata go, and the salts with them; that there was a case, and the log's
entries about it, stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from api_server.store import audit_log, repairs, tags
from api_server.store.erased import ERASED, is_erased
from api_server.store.errors import CaseHeld, NoSuchCase
from api_server.store.records import Retention, TagRule
from api_server.store.review_tables import DECISIONS, REVIEW_CASES, SEARCH_TEXTS
from api_server.store.rubric_tables import RUBRIC_TRIAL_CHANGES
from api_server.store.schema import CASES, FINDINGS, HOLDS, JOBS, REVISIONS

_AT_ONCE = 200


def erase(connection: Connection, identity: str, actor: str, now: float) -> str | None:
    """Remove what a case holds, at whatever state it is; return its recording, if it has one.

    That goes in a transaction of its own, once this one holds, and the log has an entry for it
    then. A case that has not ended ends as ``cancelled``. One that was erased already stays as it
    is; its recording may still have to go.

    Raises:
        NoSuchCase: there is none.
        CaseHeld: it is held.
    """
    case = _case_row(connection, identity)
    if is_held(connection, case.seq):
        raise CaseHeld(f"{identity} is held; release it first")
    if is_erased(case):
        return str(case.recording) if case.recording is not None else None
    _remove_words(connection, case, now)
    _remove_rest(connection, case, now)
    recording = _own_recording(connection, case)
    if recording is None:
        _drop_recording(connection, case)
    what = "all" if recording is None else "texts"
    audit_log.record(connection, now, "erasure", identity, actor=actor, facts={"what": what})
    return recording


def _own_recording(connection: Connection, case: Row[Any]) -> str | None:
    """Return the recording of a case; none where another one has it too."""
    others = select(CASES.c.seq).where(
        CASES.c.recording == case.recording, CASES.c.seq != case.seq, ~ERASED
    )
    if case.recording is None or connection.execute(others.limit(1)).first() is not None:
        return None
    return str(case.recording)


def _drop_recording(connection: Connection, case: Row[Any]) -> None:
    connection.execute(update(CASES).where(CASES.c.seq == case.seq).values(recording=None))


def note_removed(connection: Connection, cases: Iterable[str], actor: str, now: float) -> None:
    """Record that the recordings of erased cases are gone now."""
    for case in cases:
        audit_log.record(connection, now, "erasure", case, actor=actor, facts={"what": "recording"})


def expire(connection: Connection, retention: Retention, now: float) -> int:
    """Remove what has outlived its days, a few hundred cases at most; return how many.

    Held cases stay whole.
    """
    spoken = select(REVISIONS.c.case_seq).where(
        REVISIONS.c.case_seq == CASES.c.seq, REVISIONS.c.answer != ""
    )
    words = [
        (case, "transcript")
        for case in _over(connection, retention, _transcripts_sec, now, spoken.exists())
    ]
    rest = [
        (case, "result")
        for case in _over(connection, retention, _results_sec, now, CASES.c.name != "")
    ]
    for case, what in [*words, *rest]:
        if what == "transcript":
            _keep_findings(connection, case.seq, retention.wordless)
        _remove_words(connection, case, now)
        if what == "result":
            _remove_rest(connection, case, now)
            _drop_recording(connection, case)
        audit_log.record(connection, now, "expiry", case.id, facts={"what": what})
    return len(words) + len(rest)


def _transcripts_sec(one: Retention | TagRule) -> float | None:
    return one.transcripts_sec


def _results_sec(one: Retention | TagRule) -> float | None:
    return one.results_sec


def _over(
    connection: Connection,
    retention: Retention,
    sec_of: Callable[[Retention | TagRule], float | None],
    now: float,
    still: ColumnElement[bool],
) -> list[Row[Any]]:
    if not tags.is_limited(retention, sec_of):
        return []
    held = select(HOLDS.c.case_seq).where(HOLDS.c.case_seq == CASES.c.seq)
    since = tags.kept_since(retention, sec_of, now)
    query = select(CASES).join(JOBS, JOBS.c.seq == CASES.c.job_seq)
    query = query.where(CASES.c.ended_at < since, still, ~held.exists())
    return list(connection.execute(query.order_by(CASES.c.ended_at).limit(_AT_ONCE)))


def _keep_findings(connection: Connection, case_seq: int, wordless: Callable[[str], str]) -> None:
    latest = select(REVISIONS.c.answer).where(REVISIONS.c.case_seq == case_seq)
    answer = connection.execute(latest.order_by(REVISIONS.c.number.desc()).limit(1)).scalar_one()
    connection.execute(delete(FINDINGS).where(FINDINGS.c.case_seq == case_seq))
    connection.execute(insert(FINDINGS).values(case_seq=case_seq, findings=wordless(answer)))


def _remove_words(connection: Connection, case: Row[Any], now: float) -> None:
    connection.execute(
        update(REVISIONS).where(REVISIONS.c.case_seq == case.seq).values(answer="", recording=None)
    )
    connection.execute(
        update(DECISIONS).where(DECISIONS.c.case_seq == case.seq).values(quote=None, reason="")
    )
    connection.execute(delete(SEARCH_TEXTS).where(SEARCH_TEXTS.c.case_seq == case.seq))
    connection.execute(update(CASES).where(CASES.c.seq == case.seq).values(erased_at=now))
    repairs.drop(connection, select(CASES.c.seq).where(CASES.c.seq == case.seq))
    audit_log.drop_salts(connection, case.id)


def _remove_rest(connection: Connection, case: Row[Any], now: float) -> None:
    """Remove names, paths, findings; metadata and hints of the job with the last of its cases."""
    for table in (FINDINGS, RUBRIC_TRIAL_CHANGES):
        connection.execute(delete(table).where(table.c.case_seq == case.seq))
    is_open = and_(CASES.c.seq == case.seq, CASES.c.ended_at.is_(None))
    connection.execute(
        update(CASES)
        .where(is_open)
        .values(state="cancelled", token=None, lease_until=None, ended_at=now)
    )
    connection.execute(
        update(CASES).where(CASES.c.seq == case.seq).values(name="", path=None, error=None)
    )
    connection.execute(
        update(REVIEW_CASES)
        .where(REVIEW_CASES.c.case_seq == case.seq)
        .values(agent=None, product=None)
    )
    others = select(func.count()).where(CASES.c.job_seq == case.job_seq, CASES.c.name != "")
    if not connection.execute(others).scalar():
        job = JOBS.c.seq == case.job_seq
        options = connection.execute(select(JOBS.c.options).where(job)).scalar_one()
        left = {"options": _without_hints(options), "metadata": "{}", "request_sha256": ""}
        left |= {"product": "", "rubric": ""}
        connection.execute(update(JOBS).where(job).values(**left))


def _without_hints(options: str) -> str:
    """Return a job's options without the words to look out for: they name customers."""
    found = json.loads(options)
    return json.dumps({name: value for name, value in found.items() if name != "hints"})


def hold(connection: Connection, identity: str, reason: str, actor: str, now: float) -> bool:
    """Forbid to remove anything of a case; false where it is held already.

    Raises:
        NoSuchCase: there is none.
    """
    case = _case_row(connection, identity)
    if is_held(connection, case.seq):
        return False
    connection.execute(
        insert(HOLDS).values(case_seq=case.seq, placed_at=now, actor=actor, reason=reason)
    )
    audit_log.record(connection, now, "hold", identity, actor=actor, content=reason.encode())
    return True


def release(connection: Connection, identity: str, actor: str, now: float) -> bool:
    """Allow again to remove a case; false where it was not held.

    Raises:
        NoSuchCase: there is none.
    """
    case = _case_row(connection, identity)
    gone = connection.execute(delete(HOLDS).where(HOLDS.c.case_seq == case.seq)).rowcount
    if gone:
        audit_log.record(connection, now, "release", identity, actor=actor)
    return bool(gone)


def is_held(connection: Connection, case_seq: int) -> bool:
    """Return whether a case is held."""
    query = select(HOLDS.c.case_seq).where(HOLDS.c.case_seq == case_seq)
    return connection.execute(query).first() is not None


def findings_of(connection: Connection, case_seq: int) -> str | None:
    """Return what was found in a case whose words are gone, as JSON."""
    query = select(FINDINGS.c.findings).where(FINDINGS.c.case_seq == case_seq)
    return connection.execute(query).scalar()


def _case_row(connection: Connection, identity: str) -> Row[Any]:
    row = connection.execute(select(CASES).where(CASES.c.id == identity)).first()
    if row is None:
        raise NoSuchCase(f"there is no case {identity}")
    return row
