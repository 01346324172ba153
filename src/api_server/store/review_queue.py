"""What the queue knows of a case: its findings, and where people are with each."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from api_server.store import decisions as rules
from api_server.store.decisions import DecisionRecord
from api_server.store.review_records import SAMPLE, CaseFacts
from api_server.store.review_tables import DECISIONS, REVIEW_CASES, REVIEW_FINDINGS

_CLEAR = {"prohibited": {"not_found"}, "required": {"satisfied"}, SAMPLE: set()}


def decisions_of(connection: Connection, seq: int) -> list[DecisionRecord]:
    """Return every decision on a case, in their order."""
    rows = connection.execute(
        select(DECISIONS).where(DECISIONS.c.case_seq == seq).order_by(DECISIONS.c.seq)
    )
    return [
        DecisionRecord(
            row.seq,
            row.revision,
            row.element,
            row.action,
            row.status,
            row.other_element,
            row.quote,
            row.reason,
            row.actor,
            row.made_at,
            row.undoes,
        )
        for row in rows
    ]


def learn(connection: Connection, facts: CaseFacts) -> None:
    """Keep what the queue has to know of an answer; :func:`count_decisions` has to follow."""
    known = REVIEW_CASES.c.case_seq == facts.seq
    values = {
        "revision": facts.revision,
        "rank": facts.rank,
        "degraded": facts.degraded,
        "warnings": facts.warnings,
        "wanted": sum(one.wanted for one in facts.findings),
        "received_at": facts.received_at,
        "week": facts.week,
        "agent": facts.agent,
        "product": facts.product,
        "sampled": facts.sampled,
    }
    if not connection.execute(update(REVIEW_CASES).where(known).values(**values)).rowcount:
        connection.execute(insert(REVIEW_CASES).values(case_seq=facts.seq, state="none", **values))
    connection.execute(delete(REVIEW_FINDINGS).where(REVIEW_FINDINGS.c.case_seq == facts.seq))
    rows = [
        {
            "case_seq": facts.seq,
            "element": one.element,
            "kind": one.kind,
            "status": one.status,
            "wanted": one.wanted,
            "confidence": one.confidence,
            "state": "open" if one.wanted else "none",
        }
        for one in facts.findings
    ]
    if rows:
        connection.execute(insert(REVIEW_FINDINGS), rows)


def count_decisions(connection: Connection, seq: int) -> None:
    """Have the queue know where the findings of a case stand now."""
    revision = connection.execute(
        select(REVIEW_CASES.c.revision).where(REVIEW_CASES.c.case_seq == seq)
    ).scalar()
    made = [one for one in decisions_of(connection, seq) if one.revision == revision]
    found = list(
        connection.execute(select(REVIEW_FINDINGS).where(REVIEW_FINDINGS.c.case_seq == seq))
    )
    states, listened = [], False
    for row in sorted(found, key=lambda one: one.element != SAMPLE):
        rows = [one for one in made if one.element == row.element]
        now = rules.standing(rows, row.kind, row.status, wanted=row.wanted)
        first, second, third = (*now.actors, None, None, None)[:3]
        states.append(now.state)
        settled = now.state == "settled"
        listened = listened or (row.element == SAMPLE and settled)
        decided = now.status if settled else None
        if listened and now.state == "none" and row.status in _CLEAR[row.kind]:
            decided = row.status  # whoever listened to the whole call has heard nothing else
        connection.execute(
            update(REVIEW_FINDINGS)
            .where(REVIEW_FINDINGS.c.case_seq == seq, REVIEW_FINDINGS.c.element == row.element)
            .values(
                state=now.state,
                first_by=first,
                second_by=second,
                third_by=third,
                decided=decided,
                moved_to=now.other_element if settled else None,
            )
        )
    state = rules.case_state(states, sum(row.wanted for row in found))
    connection.execute(
        update(REVIEW_CASES).where(REVIEW_CASES.c.case_seq == seq).values(state=state)
    )
