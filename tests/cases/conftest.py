"""What the tests about lost workers and databases share; ``--long`` asks for the long runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.jobs_in_store import PLACES
from tests.support.postgres import QUICK, Postgres, why_absent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="30 kills over 200 cases (half an hour)")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if reason := why_absent():
        pytest.skip(reason)
    server = Postgres(*QUICK)  # processes are killed here, and no machine
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    kind: str = request.param
    PLACES.server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    yield kind
    PLACES.clear()
