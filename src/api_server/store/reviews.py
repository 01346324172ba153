"""The queue of reviewers and their decisions: each method is one transaction, for any thread."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from api_server.store import audit_log, repairs, webhooks
from api_server.store import decisions as rules
from api_server.store.database import StorePart
from api_server.store.decisions import WAITING, NewDecision
from api_server.store.errors import DecisionRefused, NoSuchCase
from api_server.store.jobs import CASE_ROWS, case_of_row
from api_server.store.records import Ending, Revision
from api_server.store.review_list import list_cases
from api_server.store.review_queue import count_decisions, decisions_of, learn
from api_server.store.review_records import (
    CaseFacts,
    CaseFilter,
    ListedCase,
    ReviewedCase,
    Unread,
)
from api_server.store.review_tables import (
    DECISIONS,
    REVIEW_CASES,
    REVIEW_FINDINGS,
    REVIEW_PASSES,
)
from api_server.store.schema import CASES, JOBS, RECORDINGS, REVISIONS

_OVERLAP_SEC = 120.0
"""Answers so much older than the newest one known are looked for again: clocks are not exact."""

_PASS_SEC = 1800.0


class Reviews(StorePart):
    """What the page keeps."""

    _known_to = 0.0

    def unread(self, limit: int) -> list[Unread]:
        """Return up to ``limit`` latest answers that the queue does not know."""
        known = exists().where(
            REVIEW_CASES.c.case_seq == REVISIONS.c.case_seq,
            REVIEW_CASES.c.revision >= REVISIONS.c.number,
        )
        query = (
            select(REVISIONS, CASES.c.id, CASES.c.received_at, JOBS.c.metadata)
            .join(CASES, CASES.c.seq == REVISIONS.c.case_seq)
            .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
            .where(REVISIONS.c.made_at >= self._known_to - _OVERLAP_SEC, ~known)
            .order_by(REVISIONS.c.made_at)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = list(connection.execute(query))
        return [
            Unread(row.case_seq, _revision(row), row.id, row.received_at, row.metadata)
            for row in rows
        ]

    def learn(self, facts: Sequence[CaseFacts]) -> None:
        """Keep what the queue has to know of answers; decisions on them are counted in."""
        with self._database.write() as connection:
            for one in facts:
                learn(connection, one)
                count_decisions(connection, one.seq)
            newest = connection.execute(
                select(func.max(REVISIONS.c.made_at)).where(
                    REVISIONS.c.case_seq.in_([one.seq for one in facts])
                )
            ).scalar()
        self._known_to = max(self._known_to, newest or 0.0)

    def get(self, identity: str) -> ReviewedCase:
        """Return a case with all that was answered and decided.

        Raises:
            NoSuchCase: there is none.
        """
        with self._database.read() as connection:
            row = _row_of(connection, identity)
            revisions = connection.execute(
                select(REVISIONS)
                .where(REVISIONS.c.case_seq == row.seq)
                .order_by(REVISIONS.c.number)
            )
            answers = tuple(map(_revision, revisions))
            known = connection.execute(
                select(REVIEW_CASES).where(REVIEW_CASES.c.case_seq == row.seq)
            ).first()
            leased = known is not None and (known.lease_until or 0.0) > self._clock()
            return ReviewedCase(
                case_of_row(row),
                row.path,
                answers,
                tuple(decisions_of(connection, row.seq)),
                known.lease_by if known is not None and leased else None,
                known is not None and bool(answers) and known.revision == answers[-1].number,
                known is not None and known.sampled,
                row.metadata,
                row.options,
            )

    def decide(
        self,
        identity: str,
        revision: int,
        new: NewDecision,
        lease_sec: float,
        judged: Ending | None = None,
    ) -> int:
        """Add a decision and return its number; whoever decides has the case from then on.

        ``judged``: the next answer, which the decision has made.

        Raises:
            NoSuchCase: there is none.
            DecisionRefused: it may not be added now, by them.
        """
        now = self._clock()
        with self._database.write() as connection:
            case = _row_of(connection, identity)
            seq = case.seq
            finding = _finding(connection, seq, revision, new)
            rows = [
                one
                for one in decisions_of(connection, seq)
                if one.element == new.element and one.revision == revision
            ]
            rows = [one for one in rows if one.action != "comment"]
            undoes = rules.check_new(
                new,
                rows,
                rules.standing(rows, finding.kind, finding.status, wanted=finding.wanted),
            )
            if new.action != "comment" and not _lease(connection, seq, new.actor, now, lease_sec):
                raise DecisionRefused("leased", "another person is at this call")
            inserted = connection.execute(
                insert(DECISIONS).values(
                    case_seq=seq,
                    revision=revision,
                    element=new.element,
                    action=new.action,
                    machine_status=finding.status,
                    status=new.status,
                    other_element=new.other_element,
                    quote=new.quote,
                    reason=new.reason,
                    actor=new.actor,
                    made_at=now,
                    undoes=undoes,
                    rubric_version=new.rubric_version,
                )
            )
            facts = {
                "element": new.element,
                "action": new.action,
                "status": new.status,
                "revision": revision,
            }
            said = json.dumps([new.reason, new.quote, new.other_element], ensure_ascii=False)
            audit_log.record(
                connection,
                now,
                "decision",
                identity,
                actor=new.actor,
                facts=facts,
                content=said.encode(),
            )
            count_decisions(connection, seq)
            if judged is not None:
                _revise(connection, case, revision + 1, judged, new.actor, now)
            (number,) = inserted.inserted_primary_key or (0,)
            return int(number)

    def take_next(self, actor: str, lease_sec: float, *, senior: bool) -> str | None:
        """Lease the case that ``actor`` should look at next, and return its id.

        One that they have already comes first, then the highest rank. Two people never get the same
        one while a lease runs; other leases that ``actor`` has end.
        """
        now = self._clock()
        mine = and_(REVIEW_CASES.c.lease_by == actor, REVIEW_CASES.c.lease_until > now)
        free = or_(REVIEW_CASES.c.lease_by.is_(None), REVIEW_CASES.c.lease_until <= now)
        passed = exists().where(
            REVIEW_PASSES.c.case_seq == REVIEW_CASES.c.case_seq,
            REVIEW_PASSES.c.actor == actor,
            REVIEW_PASSES.c.until > now,
        )
        query = (
            select(REVIEW_CASES.c.case_seq, REVIEW_CASES.c.rank)
            .join(CASES, CASES.c.seq == REVIEW_CASES.c.case_seq)
            .where(CASES.c.erased_at.is_(None), ~passed, _for_actor(actor, senior=senior))
            .order_by(REVIEW_CASES.c.rank.desc(), REVIEW_CASES.c.case_seq.desc())
            .limit(1)
        )
        with self._database.write() as connection:
            found = _first(connection, query.where(mine))
            if found is None:
                # One look for each state: so an index has the highest rank at hand.
                looks = [
                    _first(connection, query.where(REVIEW_CASES.c.state == state, free))
                    for state in WAITING
                ]
                found = max((one for one in looks if one), default=None)
            # Whoever goes on leaves the others to those who have to look at them next.
            left = [REVIEW_CASES.c.lease_by == actor]
            if found is not None:
                left.append(REVIEW_CASES.c.case_seq != found[1])
            connection.execute(
                update(REVIEW_CASES).where(*left).values(lease_by=None, lease_until=None)
            )
            if found is None:
                return None
            _lease(connection, found[1], actor, now, lease_sec)
            named = select(CASES.c.id).where(CASES.c.seq == found[1])
            return str(connection.execute(named).scalar_one())

    def let_go(self, identity: str, actor: str, *, put_off: bool) -> None:
        """End the lease that ``actor`` has; ``put_off``: it is not their next one for a while.

        Raises:
            NoSuchCase: there is none.
        """
        with self._database.write() as connection:
            seq = _row_of(connection, identity).seq
            connection.execute(
                update(REVIEW_CASES)
                .where(REVIEW_CASES.c.case_seq == seq, REVIEW_CASES.c.lease_by == actor)
                .values(lease_by=None, lease_until=None)
            )
            if put_off:
                mine = (REVIEW_PASSES.c.case_seq == seq, REVIEW_PASSES.c.actor == actor)
                connection.execute(delete(REVIEW_PASSES).where(*mine))
                until = self._clock() + _PASS_SEC
                connection.execute(
                    insert(REVIEW_PASSES).values(case_seq=seq, actor=actor, until=until)
                )

    def list(
        self, which: CaseFilter, limit: int, after: tuple[float, int] | None = None
    ) -> list[ListedCase]:
        """Return cases, the highest rank and the newest first, behind ``after`` (rank, number)."""
        with self._database.read() as connection:
            return list_cases(connection, which, limit, after, self._clock())

    def without_sound(self, names: Collection[str]) -> set[str]:
        """Return those of ``names`` (``r-HASH``, ``c-CASE``) whose recording or case is gone."""
        with self._database.read() as connection:
            kept = {f"r-{row.sha256}" for row in connection.execute(select(RECORDINGS.c.sha256))}
            cases = select(CASES.c.id).where(CASES.c.path.is_not(None), CASES.c.erased_at.is_(None))
            wanted = [one.removeprefix("c-") for one in names if one.startswith("c-")]
            found = connection.execute(cases.where(CASES.c.id.in_(wanted)))
            kept |= {f"c-{row.id}" for row in found}
        return set(names) - kept

    def count(self) -> dict[str, int]:
        """Return how many cases are in which state of review."""
        query = select(REVIEW_CASES.c.state, func.count()).group_by(REVIEW_CASES.c.state)
        with self._database.read() as connection:
            return {str(state): int(number) for state, number in connection.execute(query)}


def _revision(row: Row[Any]) -> Revision:
    return Revision(row.number, row.made_at, row.answer)


def _row_of(connection: Connection, identity: str) -> Row[Any]:
    row = connection.execute(CASE_ROWS.where(CASES.c.id == identity)).first()
    if row is None:
        raise NoSuchCase(f"there is no case {identity}")
    return row


def _finding(connection: Connection, seq: int, revision: int, new: NewDecision) -> Row[Any] | Any:  # noqa: ANN401
    """Return the finding that is decided.

    Raises:
        DecisionRefused: the latest answer is another one, or has no such element.
    """
    latest = connection.execute(
        select(REVIEW_CASES.c.revision).where(REVIEW_CASES.c.case_seq == seq)
    ).scalar()
    if latest != revision:
        raise _OTHER_ANSWER
    found = connection.execute(
        select(REVIEW_FINDINGS).where(
            REVIEW_FINDINGS.c.case_seq == seq, REVIEW_FINDINGS.c.element == new.element
        )
    ).first()
    if found is None:
        if new.action in {"comment", "swap_roles"} and not new.element:
            return _WHOLE_CALL
        raise DecisionRefused("no_element", "the answer has no such element")
    return found


_OTHER_ANSWER = DecisionRefused("stale", "the call has another answer by now; look again")


class _WholeCall:
    """Stands for the finding of what is said of the whole call."""

    kind, status, wanted = "prohibited", None, False


_WHOLE_CALL = _WholeCall()


def _lease(connection: Connection, seq: int, actor: str, now: float, lease_sec: float) -> bool:
    taken = connection.execute(
        update(REVIEW_CASES)
        .where(
            REVIEW_CASES.c.case_seq == seq,
            or_(
                REVIEW_CASES.c.lease_by.is_(None),
                REVIEW_CASES.c.lease_by == actor,
                REVIEW_CASES.c.lease_until <= now,
            ),
        )
        .values(lease_by=actor, lease_until=now + lease_sec)
    ).rowcount
    return bool(taken)


def _for_actor(actor: str, *, senior: bool) -> ColumnElement[bool]:
    """Return the condition that a case has a finding which ``actor`` may decide."""
    found = REVIEW_FINDINGS.c
    ways = [
        found.state == "open",
        and_(found.state == "second", found.first_by != actor),
    ]
    if senior:
        seen = (found.first_by, found.second_by, found.third_by)
        others = (or_(one.is_(None), one != actor) for one in seen)
        ways.append(and_(found.state == "third", *others))
    return exists().where(found.case_seq == REVIEW_CASES.c.case_seq, or_(*ways))


def _revise(
    connection: Connection, case: Row[Any], number: int, judged: Ending, actor: str, now: float
) -> None:
    """Add the answer that a decision has made.

    Raises:
        DecisionRefused: another one came meanwhile.
    """
    if repairs.revise_by_hand(connection, case.seq, judged, now, actor) != number:
        raise _OTHER_ANSWER
    webhooks.tell_revision(connection, case.id, case.job, number, judged, now)


def _first(connection: Connection, query: Select[Any]) -> tuple[float, int] | None:
    """Return rank and number of the first case of a query."""
    row = connection.execute(query).first()
    return None if row is None else (row.rank, row.case_seq)
