"""What reviewers count and take away, and the views they keep: each method is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from api_server.store import audit_log
from api_server.store.database import StorePart
from api_server.store.errors import DecisionRefused
from api_server.store.review_numbers import (
    count_calls,
    count_confidences,
    count_findings,
    list_findings,
    names_in_use,
)
from api_server.store.review_records import (
    CaseFilter,
    ConfidenceTally,
    FindingRow,
    GroupedBy,
    Tally,
)
from api_server.store.review_tables import REVIEW_VIEWS

MOST_VIEWS = 50
"""Views that one person keeps."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Findings counted, and calls by group."""

    tallies: Sequence[Tally]
    calls: Mapping[str | int | None, int]


class ReviewReports(StorePart):
    """Numbers, tables and kept views."""

    def count(self, by: GroupedBy, which: CaseFilter) -> Counted:
        """Return what there is of the findings of some cases."""
        with self._database.read() as connection:
            return Counted(
                count_findings(connection, by, which), count_calls(connection, by, which)
            )

    def confidences(self, which: CaseFilter) -> list[ConfidenceTally]:
        """Return confidences beside what people settled; see :func:`count_confidences`."""
        with self._database.read() as connection:
            return count_confidences(connection, which)

    def take_findings(
        self, which: CaseFilter, limit: int, actor: str, form: str
    ) -> list[FindingRow]:
        """Return findings that leave the page; the log says who took how many, in which form."""
        with self._database.read() as connection:
            found = list_findings(connection, which, limit)
        with self._database.write() as connection:
            audit_log.record(
                connection,
                self._clock(),
                "look",
                "",
                actor=actor,
                facts={"what": "findings", "form": form, "rows": len(found)},
            )
        return found

    def names(self) -> tuple[list[str], list[str]]:
        """Return the agents and the products that calls name."""
        with self._database.read() as connection:
            return names_in_use(connection)

    def views(self, actor: str) -> list[tuple[str, str]]:
        """Return the views that a person keeps: names, and what they ask for."""
        query = select(REVIEW_VIEWS.c.name, REVIEW_VIEWS.c.query).where(
            REVIEW_VIEWS.c.actor == actor
        )
        with self._database.read() as connection:
            return [(row.name, row.query) for row in connection.execute(query.order_by("name"))]

    def keep_view(self, actor: str, name: str, query: str) -> None:
        """Keep a view; one of the same name goes.

        Raises:
            DecisionRefused: the person keeps too many.
        """
        mine = REVIEW_VIEWS.c.actor == actor
        with self._database.write() as connection:
            connection.execute(delete(REVIEW_VIEWS).where(mine, REVIEW_VIEWS.c.name == name))
            count = select(func.count()).select_from(REVIEW_VIEWS).where(mine)
            if connection.execute(count).scalar_one() >= MOST_VIEWS:
                raise DecisionRefused("too_many", "too many views")
            connection.execute(insert(REVIEW_VIEWS).values(actor=actor, name=name, query=query))

    def drop_view(self, actor: str, name: str) -> None:
        """Forget a view, where it is kept."""
        gone = (REVIEW_VIEWS.c.actor == actor, REVIEW_VIEWS.c.name == name)
        with self._database.write() as connection:
            connection.execute(delete(REVIEW_VIEWS).where(*gone))
