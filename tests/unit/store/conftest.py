"""Each test of the store runs on SQLite and on PostgreSQL, but for what is about one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server.store.store import Store
from tests.support.clock import Clock
from tests.support.jobs_in_store import PLACES, store_at
from tests.support.postgres import QUICK, Postgres, why_absent


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if reason := why_absent():
        pytest.skip(reason)
    server = Postgres(*QUICK)
    yield server
    server.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = ["sqlite", "postgresql"]
    only = [one for one in kinds if metafunc.definition.get_closest_marker(one) is not None]
    metafunc.parametrize("database_kind", only or kinds, indirect=True)


@pytest.fixture(autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    kind: str = request.param
    PLACES.server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    yield kind
    PLACES.clear()


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return store_at(tmp_path, clock)
