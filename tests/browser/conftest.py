"""A real server with reviewed calls, and people with real browsers before it (`make test-web`)."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from api_server.store.recordings import RecordingFolder
from api_server.store.records import Retention
from api_server.store.revisions import add_revision
from api_server.store.store import Store
from tests.support.reviewed import (
    add_case,
    clean_result,
    hostile_segments,
    long_result,
    sample_result,
    two_channel_wav,
)
from tests.support.server import api_server

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
FOREVER = 1e9
PATIENCE_SEC, LOOK_MS = 30.0, 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all of it where there is no browser to ask."""
    why = ""
    if not _chromium():
        why = "no Chromium is here: apt-get install chromium"
    else:
        try:
            import playwright  # noqa: F401, PLC0415
        except ModuleNotFoundError:
            why = "playwright is not here: run make test-web"
    if why:
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason=why))


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@dataclass
class Site:
    """A server's address, and the ids of its calls by name."""

    base: str
    cases: dict[str, str]
    folder: Path


def open_store(folder: Path) -> Store:
    """Return the store of a server whose folder this is; it keeps recordings."""
    recordings = RecordingFolder(folder / "recordings", 10**10, 0)
    kept = Retention(recordings_sec=FOREVER)
    return Store(folder / "cases.db", recordings, retention=kept)


PAGE: dict[str, Any] = {
    "review_page": True,
    "review_sample_percent": 0,
    "stt_model_path": "/nowhere/at/all",
    "ready_interval_sec": 3600,
    "recordings_reserve_bytes": 0,
}
"""The settings of a server with the page, and without a model."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    store, recordings = open_store(folder), RecordingFolder(folder / "recordings", 10**10, 0)
    wav = two_channel_wav(sample_result().recognition.value.duration)
    cases = {
        name: add_case(store, recordings, name, result, wav)
        for name, result in (
            ("morning.wav", sample_result()),
            ("degraded.wav", sample_result(degraded=True)),
            ("<script>document.body.dataset.pwned=1</script>", sample_result(hostile_segments())),
            ("keys.wav", sample_result()),
            ("firefox.wav", sample_result()),
            ("long.wav", long_result(400)),
            ("clean.wav", clean_result()),
        )
    }
    # A repair has found what the first answer did not.
    with store._database.write() as connection:
        seq = store.reviews.get(cases["clean.wav"]).case.seq
        again = sample_result(revision=2).to_json().decode()
        add_revision(connection, seq, again, time.time())
    store.close()
    with api_server(folder, ready=False, **PAGE) as server:
        yield Site(server.base, cases, folder)


@dataclass
class Person:
    """Somebody before a browser; what it complains about fails the test."""

    site: Site
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    complaints_expected: bool = False

    def log_in(self, name: str) -> None:
        self.page.goto(f"{self.site.base}/review")
        self.page.get_by_role("button", name=name).press("Enter")
        self.page.wait_for_url("**/review")

    def open(self, name: str, query: str = "") -> None:
        self.page.goto(f"{self.site.base}/review/cases/{self.site.cases[name]}{query}")

    def until_prepared(self) -> None:
        self.wait("document.getElementById('sound-state').textContent === ''")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, words: str, most: int = 80) -> None:
        """Press Tab until what says ``words`` has the focus."""
        for _ in range(most):
            self.press("Tab")
            if words in str(self.ask("document.activeElement.textContent")):
                return
        raise AssertionError(f"Tab never comes to {words!r}")

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)

    def wait(self, script: str) -> None:
        """Wait until ``script`` is true; the page's policy lets nobody ask it from within."""
        until = time.monotonic() + PATIENCE_SEC
        while not self.ask(script):
            assert time.monotonic() < until, f"waited in vain: {script}"
            self.page.wait_for_timeout(LOOK_MS)


Enter = Callable[..., Person]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of make test-web alone

    with sync_playwright() as program:
        found = program.chromium.launch(
            executable_path=_chromium(),
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield found
        found.close()


@pytest.fixture
def enter(site: Site, browser: Any) -> Iterator[Enter]:
    """Let a person come in with a browser of their own."""
    people: list[Person] = []

    def come(name: str = "demo-reviewer-1", **given: Any) -> Person:
        context = browser.new_context(locale="ko-KR", **given)
        person = Person(site, context, context.new_page())
        person.page.on("pageerror", lambda error: person.complaints.append(str(error)))
        person.page.on(
            "console",
            lambda said: person.complaints.append(said.text) if said.type == "error" else None,
        )
        people.append(person)
        person.log_in(name)
        return person

    yield come
    for one in people:
        one.context.close()
    assert not [one.complaints for one in people if one.complaints and not one.complaints_expected]
