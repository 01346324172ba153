"""Rubrics that are tried and taken into use: each method is one transaction, for any thread.

One person proposes a change and another one consents; what was in force is taken back the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from api_server.store import audit_log
from api_server.store.database import StorePart
from api_server.store.errors import DecisionRefused
from api_server.store.records import OF_SETTINGS, REVIEWED, Revision
from api_server.store.review_records import Unread
from api_server.store.rubric_records import (
    RubricChange,
    RubricTrial,
    StoredRubric,
    TriedCase,
    TryOut,
)
from api_server.store.rubric_tables import (
    RUBRIC_CHANGES,
    RUBRIC_TRIAL_CHANGES,
    RUBRIC_TRIALS,
    RUBRICS,
)
from api_server.store.schema import CASES, REVISIONS

_SILENT_SEC = 60.0
"""Whoever was not heard of for so long works on a trial no more."""

_TRIALS, _CHANGES = 50, 100

Answer = Literal["used", "refused", "withdrawn"]


class Rubrics(StorePart):
    """What was sent, tried, proposed and taken into use."""

    def add(self, new: StoredRubric) -> None:
        """Keep a rubric; one that is here already stays as it is."""
        with self._database.write() as connection:
            if _rubric(connection, new.sha256) is None:
                values = {"sha256": new.sha256, "version": new.version, "source": new.source}
                connection.execute(
                    insert(RUBRICS).values(**values, added_by=new.added_by, added_at=self._clock())
                )

    def get(self, sha256: str) -> StoredRubric | None:
        """Return a rubric that was sent, if it is here."""
        with self._database.read() as connection:
            return _rubric(connection, sha256)

    def sent(self) -> list[StoredRubric]:
        """Return every rubric that was sent, the newest first, without their files."""
        query = select(RUBRICS).order_by(RUBRICS.c.added_at.desc()).limit(_CHANGES)
        with self._database.read() as connection:
            return [_stored(row, source="") for row in connection.execute(query)]

    def in_force(self, known: int | None = None) -> tuple[RubricChange, StoredRubric | None] | None:
        """Return the last change that was consented to, and its rubric if that was sent.

        ``None`` where there is none, or where it is the one with the number ``known``.
        """
        query = select(RUBRIC_CHANGES).where(RUBRIC_CHANGES.c.state == "used")
        query = query.order_by(RUBRIC_CHANGES.c.seq.desc())  # one is open at a time
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).first()
            if row is None or row.seq == known:
                return None
            return _change(row), _rubric(connection, row.sha256)

    def changes(self) -> Sequence[RubricChange]:
        """Return what was proposed, the newest first."""
        query = select(RUBRIC_CHANGES).order_by(RUBRIC_CHANGES.c.seq.desc()).limit(_CHANGES)
        with self._database.read() as connection:
            return [_change(row) for row in connection.execute(query)]

    def propose(self, sha256: str, version: str, before_sha256: str, actor: str) -> None:
        """Propose to take a rubric into use.

        One that was never in force has to have been tried beside the one that is.

        Raises:
            DecisionRefused: it was not, or there is an open proposal.
        """
        change = RUBRIC_CHANGES.c
        was_used = exists().where(change.sha256 == sha256, change.state == "used")
        tried = exists().where(
            RUBRIC_TRIALS.c.sha256 == sha256,
            RUBRIC_TRIALS.c.before_sha256 == before_sha256,
            RUBRIC_TRIALS.c.state == "done",
        )
        with self._database.write() as connection:
            if connection.execute(select(change.seq).where(change.state == "open")).first():
                raise DecisionRefused("proposed", "another change waits for consent")
            may = sha256 == OF_SETTINGS or connection.execute(select(or_(was_used, tried))).scalar()
            if not may:
                raise DecisionRefused("untried", "it was not tried beside the rubric in force")
            now = self._clock()
            connection.execute(
                insert(RUBRIC_CHANGES).values(
                    sha256=sha256,
                    version=version,
                    before_sha256=before_sha256,
                    state="open",
                    proposed_by=actor,
                    proposed_at=now,
                )
            )
            facts = _hashes(sha256, version, before_sha256)
            _record(connection, now, actor, {"what": "proposed", **facts})

    def answer(self, seq: int, answer: Answer, actor: str, before_sha256: str) -> None:
        """Close a proposal: another person consents or refuses, or who proposed takes it back.

        Raises:
            DecisionRefused: it is closed, another rubric is in force by now, or ``actor`` may not.
        """
        with self._database.write() as connection:
            row = connection.execute(
                select(RUBRIC_CHANGES).where(RUBRIC_CHANGES.c.seq == seq)
            ).first()
            if row is None or row.state != "open":
                raise DecisionRefused("stale", "the proposal is closed")
            if (actor == row.proposed_by) != (answer == "withdrawn"):
                raise DecisionRefused("needs_other", "it takes another person")
            if answer == "used" and row.before_sha256 != before_sha256:
                raise DecisionRefused("stale", "another rubric is in force by now")
            now = self._clock()
            connection.execute(
                update(RUBRIC_CHANGES)
                .where(RUBRIC_CHANGES.c.seq == seq)
                .values(state=answer, decided_by=actor, decided_at=now)
            )
            facts = _hashes(row.sha256, row.version, row.before_sha256)
            _record(
                connection,
                now,
                actor,
                {"what": answer, "proposed_by": row.proposed_by, **facts},
            )

    def begin_trial(self, sha256: str, before_sha256: str, actor: str, calls: int) -> int:
        """Have a rubric tried on up to ``calls`` of the newest calls; return the trial's number."""
        readable = select(func.count()).select_from(CASES).where(*_readable())
        with self._database.write() as connection:
            now = self._clock()
            total = min(calls, int(connection.execute(readable).scalar_one()))
            inserted = connection.execute(
                insert(RUBRIC_TRIALS).values(
                    sha256=sha256,
                    before_sha256=before_sha256,
                    asked_by=actor,
                    asked_at=now,
                    state="running",
                    seen_at=0.0,
                    total=total,
                    done=0,
                    failed=0,
                )
            )
            (number,) = inserted.inserted_primary_key or (0,)
            facts = {"what": "tried", "sha256": sha256, "before": before_sha256, "calls": total}
            _record(connection, now, actor, facts)
            return int(number)

    def trials(self, sha256: str | None = None) -> list[RubricTrial]:
        """Return trials, the newest first; of one rubric, or of all."""
        query = select(RUBRIC_TRIALS).order_by(RUBRIC_TRIALS.c.seq.desc()).limit(_TRIALS)
        if sha256 is not None:
            query = query.where(RUBRIC_TRIALS.c.sha256 == sha256)
        with self._database.read() as connection:
            return [_trial(row) for row in connection.execute(query)]

    def trial(self, seq: int) -> RubricTrial | None:
        """Return a trial, if there is one of this number."""
        with self._database.read() as connection:
            row = connection.execute(
                select(RUBRIC_TRIALS).where(RUBRIC_TRIALS.c.seq == seq)
            ).first()
            return None if row is None else _trial(row)

    def differences(
        self, seq: int, limit: int, element: str | None = None
    ) -> tuple[Mapping[tuple[str, str | None, str | None], int], int, list[TriedCase]]:
        """Return what a trial has found to differ.

        How many calls by element, before and after; how many calls differ at all; and calls, the
        newest first.
        """
        change = RUBRIC_TRIAL_CHANGES.c
        alike = (change.element, change.before, change.after)
        counted = select(*alike, func.count().label("number")).where(change.trial == seq)
        calls = select(func.count(change.case_seq.distinct())).where(change.trial == seq)
        query = (
            select(CASES.c.id, CASES.c.name, *alike)
            .join(CASES, CASES.c.seq == change.case_seq)
            .where(change.trial == seq, *_of_element(element))
            .order_by(change.case_seq.desc(), change.element)
            .limit(limit)
        )
        with self._database.read() as connection:
            found = {
                (row.element, row.before, row.after): int(row.number)
                for row in connection.execute(counted.group_by(*alike))
            }
            number = int(connection.execute(calls).scalar_one())
            rows = [TriedCase(*row) for row in connection.execute(query)]
        return found, number, rows

    def claim_trial(self) -> RubricTrial | None:
        """Take a trial that nobody works on, if there is one."""
        trial = RUBRIC_TRIALS.c
        now = self._clock()
        query = select(RUBRIC_TRIALS).where(
            trial.state == "running", trial.seen_at < now - _SILENT_SEC
        )
        with self._database.write() as connection:
            row = connection.execute(query.order_by(trial.seq).limit(1)).first()
            if row is None:
                return None
            connection.execute(
                update(RUBRIC_TRIALS).where(trial.seq == row.seq).values(seen_at=now)
            )
            return _trial(row)

    def next_call(self, trial: RubricTrial) -> Unread | None:
        """Return the next answer that a trial is to be made on, the newest first."""
        rest = [] if trial.next_seq is None else [CASES.c.seq < trial.next_seq]
        chosen = select(CASES.c.seq, CASES.c.id).where(*_readable(), *rest)
        with self._database.read() as connection:
            case = connection.execute(chosen.order_by(CASES.c.seq.desc()).limit(1)).first()
            if case is None:
                return None
            answers = select(REVISIONS).where(REVISIONS.c.case_seq == case.seq)
            row = connection.execute(answers.order_by(REVISIONS.c.number.desc()).limit(1)).one()
        return Unread(case.seq, Revision(row.number, row.made_at, row.answer), case.id)

    def note_tried(self, known: RubricTrial, tried: TryOut | None) -> RubricTrial | None:
        """Note what came of a call; ``None``: that somebody is still at it.

        Return the trial as it is now, ``None`` where it was stopped, or others go on with it.
        """
        trial = RUBRIC_TRIALS.c
        values: dict[str, object] = {"seen_at": self._clock()}
        if tried is not None:
            values |= {"done": known.done + 1, "failed": known.failed + tried.failed}
            values["next_seq"] = tried.case_seq
        mine = (trial.seq == known.seq, trial.state == "running", trial.done == known.done)
        with self._database.write() as connection:
            if not connection.execute(update(RUBRIC_TRIALS).where(*mine).values(values)).rowcount:
                return None
            if tried is not None and not _is_erased(connection, tried.case_seq):
                rows = [
                    {"trial": known.seq, "case_seq": tried.case_seq, "element": element}
                    | {"before": before, "after": after}
                    for element, before, after in tried.differences
                ]
                if rows:
                    connection.execute(insert(RUBRIC_TRIAL_CHANGES), rows)
            found = select(RUBRIC_TRIALS).where(trial.seq == known.seq)
            return _trial(connection.execute(found).one())

    def end_trial(
        self, seq: int, state: Literal["done", "stopped", "failed"], error: str | None = None
    ) -> None:
        """End a trial that runs."""
        trial = RUBRIC_TRIALS.c
        with self._database.write() as connection:
            connection.execute(
                update(RUBRIC_TRIALS)
                .where(trial.seq == seq, trial.state == "running")
                .values(state=state, error=error)
            )


def _readable() -> tuple[ColumnElement[bool], ...]:
    """Return the condition that a case has an answer which can be read; its text is not touched."""
    answered = exists().where(REVISIONS.c.case_seq == CASES.c.seq)
    return CASES.c.state.in_(REVIEWED), CASES.c.erased_at.is_(None), answered


def _is_erased(connection: Connection, case_seq: int) -> bool:
    query = select(CASES.c.erased_at).where(CASES.c.seq == case_seq)
    return connection.execute(query).scalar() is not None


def _of_element(element: str | None) -> list[ColumnElement[bool]]:
    return [] if element is None else [RUBRIC_TRIAL_CHANGES.c.element == element]


def _rubric(connection: Connection, sha256: str) -> StoredRubric | None:
    row = connection.execute(select(RUBRICS).where(RUBRICS.c.sha256 == sha256)).first()
    return None if row is None else _stored(row, row.source)


def _stored(row: Row[Any], source: str) -> StoredRubric:
    return StoredRubric(row.sha256, row.version, source, row.added_by, row.added_at)


def _change(row: Row[Any]) -> RubricChange:
    return RubricChange(
        row.seq,
        row.sha256,
        row.version,
        row.before_sha256,
        row.state,
        row.proposed_by,
        row.proposed_at,
        row.decided_by,
        row.decided_at,
    )


def _trial(row: Row[Any]) -> RubricTrial:
    return RubricTrial(
        row.seq,
        row.sha256,
        row.before_sha256,
        row.asked_by,
        row.asked_at,
        row.state,
        row.total,
        row.done,
        row.failed,
        row.next_seq,
        row.error,
    )


def _hashes(sha256: str, version: str, before: str) -> dict[str, str]:
    return {"sha256": sha256, "version": version, "before": before}


def _record(connection: Connection, now: float, actor: str, facts: Mapping[str, Any]) -> None:
    audit_log.record(connection, now, "rubric_change", actor=actor, facts=facts)
