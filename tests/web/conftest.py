"""The page in this process, without a model, and people before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api_server.pipeline.result import CallResult
from tests.support.in_process import Running, running
from tests.support.reviewed import add_case

WITHOUT_MODEL: dict[str, Any] = {
    "ready": False,
    "stt_model_path": Path("/nowhere/at/all"),
    "ready_interval_sec": 3600.0,
    "recordings_reserve_bytes": 0,
    "review_page": True,
    "review_sample_percent": 0,
}


@dataclass
class Page:
    """A running page."""

    app: Running

    async def add(
        self,
        name: str,
        result: CallResult | None = None,
        recording: bytes | None = None,
        metadata: str = "{}",
        options: str = "{}",
    ) -> str:
        """Have a case end with an answer; return its id."""
        desk = self.app.service.desk
        add = partial(
            add_case,
            folder=desk.recordings,
            name=name,
            result=result,
            recording=recording,
            metadata=metadata,
            options=options,
        )
        return await desk.run(add, make=True)

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """Return a browser of somebody who is not logged in."""
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app.app),
            base_url="http://localhost",
            headers={"Sec-Fetch-Site": "same-origin", **headers},
        )

    async def person(self, name: str = "demo-reviewer-1") -> httpx2.AsyncClient:
        """Return a browser of somebody who is."""
        found = self.client()
        answer = await found.post("/review/login", data={"demo": name})
        assert answer.status_code == 303, answer.text
        return found


@pytest.fixture(scope="session")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    kept = tmp_path_factory.mktemp("page")
    where = {"database_url": f"sqlite:///{kept}/cases.db"}
    async with running(**WITHOUT_MODEL, **where) as found:
        yield Page(found)


Decide = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
def decide() -> Decide:
    """Send a decision as the page's script does; ``seen`` is what was on the page."""

    async def send(
        who: httpx2.AsyncClient, case: str, element: str, action: str, **form: Any
    ) -> httpx2.Response:
        given = {"action": action, "element": element, "revision": 1, "seen": 0, **form}
        return await who.post(
            f"/review/cases/{case}/decisions", data=given, headers={"X-Partial": "1"}
        )

    return send
