"""Without the setting there is no page, nothing of it is loaded, no recording is kept for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from api_server.pipeline.records import retention_of
from api_server.settings import Settings
from tests.support.in_process import running
from tests.web.conftest import WITHOUT_MODEL

LOADED = """
import sys
from api_server.app import create_app
from api_server.settings import Settings
create_app(Settings(_env_file=None, log_file=None, review_page={page}))
print(*sorted({{'jinja2', 'argon2', 'api_server.web', 'sqlalchemy'}} & set(sys.modules)))
"""


@pytest.mark.parametrize(("page", "loaded"), [(False, ""), (True, "api_server.web argon2 jinja2")])
def test_what_is_loaded(page: bool, loaded: str) -> None:
    code = LOADED.format(page=page)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == loaded


async def test_there_is_no_page() -> None:
    async with running(**{**WITHOUT_MODEL, "review_page": False}) as found:
        for path in ("/review", "/review/login", "/"):
            assert (await found.client.get(path)).status_code == 404


def test_recordings_are_kept_for_listeners_only() -> None:
    off = Settings(_env_file=None)  # type: ignore[call-arg]
    on = Settings(_env_file=None, review_page=True, review_keep_days=2)  # type: ignore[call-arg]
    longer = Settings(_env_file=None, review_page=True, retention_recordings_days=400)  # type: ignore[call-arg]
    days = [retention_of(one).recordings_sec / 86400 for one in (off, on, longer)]
    assert days == [0, 2, 400]
