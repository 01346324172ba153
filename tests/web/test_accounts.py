"""Accounts, passwords and sessions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from api_server.store.accounts import FREE_FAILURES
from api_server.store.errors import NoSuchUser, UserExists
from api_server.store.store import Store
from api_server.web.passwords import hash_password
from stt_tools.cli.program import app as program
from stt_tools.exits import CommandFailed
from tests.support.clock import Clock
from tests.support.in_process import running
from tests.support.jobs_in_store import store_at
from tests.web.conftest import WITHOUT_MODEL, Page

PASSWORD = "correct horse battery"
HOUR = 3600.0


@pytest.fixture
def clock() -> Clock:
    return Clock(1e6)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    found = store_at(tmp_path, clock)
    found.accounts.add("kim", "reviewer", "hash")
    yield found
    found.close()


def seen(store: Store, token: str = "a") -> str | None:
    found = store.accounts.visitor(token, HOUR / 4, 12 * HOUR)
    return found.name if found else None


def test_a_session_ends_when_nobody_is_there_and_at_the_end_of_the_day(
    store: Store, clock: Clock
) -> None:
    store.accounts.begin("a", "kim")
    for _ in range(40):
        clock.now += HOUR / 5
        assert seen(store) == "kim"
    clock.now += HOUR / 3
    assert seen(store) is None
    clock.now -= HOUR / 3
    assert seen(store) is None
    store.accounts.begin("b", "kim")
    for _ in range(61):
        clock.now += HOUR / 5
        seen(store, "b")
    assert seen(store, "b") is None


def test_a_locked_account_is_out_at_once(store: Store) -> None:
    store.accounts.begin("a", "kim")
    store.accounts.lock("kim", locked=True)
    assert seen(store) is None
    assert store.accounts.attempt("kim").locked
    store.accounts.lock("kim", locked=False)
    assert not store.accounts.attempt("kim").locked
    assert seen(store) is None


def test_wrong_passwords_make_an_account_rest_longer_and_longer(store: Store, clock: Clock) -> None:
    rests = []
    for _ in range(FREE_FAILURES + 3):
        rests.append(store.accounts.attempt("kim").wait_sec)
        store.accounts.failed("kim")
    assert rests == [0.0] * FREE_FAILURES + [2.0, 4.0, 8.0]
    clock.now += HOUR
    assert store.accounts.attempt("kim").wait_sec == 0
    store.accounts.begin("a", "kim")
    store.accounts.failed("kim")
    assert store.accounts.attempt("kim").wait_sec == 0


def test_names_are_taken_once(store: Store) -> None:
    with pytest.raises(UserExists):
        store.accounts.add("kim", "admin", "hash")
    with pytest.raises(NoSuchUser):
        store.accounts.lock("lee", locked=True)


@pytest.mark.parametrize("password", ["short", "x" * 300])
def test_a_password_has_a_length(password: str) -> None:
    with pytest.raises(ValueError, match="12 to 200"):
        hash_password(password)


def test_accounts_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'cases.db'}")

    def run(*given: str, said: str | None = None) -> str:
        found = CliRunner().invoke(program, ["user", *given], input=said)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.stdout

    assert run("list") == ""
    assert run("add", "김검토", "--role", "senior", said=f"{PASSWORD}\n") == "김검토  senior\n"
    with pytest.raises(CommandFailed, match="already"):
        run("add", "김검토", said=f"{PASSWORD}\n")
    with pytest.raises(CommandFailed, match="12 to 200"):
        run("add", "이검토", said="short\n")
    assert run("lock", "김검토") == "김검토  locked\n"
    assert json.loads(run("list", "--json")) == [
        {"name": "김검토", "role": "senior", "locked": True, "external": False}
    ]
    assert run("lock", "김검토", "--undo") == "김검토  unlocked\n"
    with pytest.raises(CommandFailed, match="no account"):
        run("lock", "이검토")
    assert run("external", "김검토") == "김검토  external\n"
    assert run("add", "박검토", "--external") == "박검토  reviewer\n"
    assert run("list") == "김검토  senior  external\n박검토  reviewer  external\n"
    with pytest.raises(CommandFailed, match="no account"):
        run("external", "이검토")


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page with accounts, which has no demo."""
    kept = tmp_path_factory.mktemp("site")
    where = {"database_url": f"sqlite:///{kept}/cases.db"}
    async with running(**WITHOUT_MODEL, **where) as found:
        secret = hash_password(PASSWORD)

        def add(store: Store) -> None:
            for name, role in (("kim", "reviewer"), ("han", "viewer"), ("locked", "senior")):
                store.accounts.add(name, role, secret)  # type: ignore[arg-type]
            store.accounts.lock("locked", locked=True)

        await found.service.desk.run(add, make=True)
        yield Page(found)


async def log_in(
    who: httpx2.AsyncClient, name: str, password: str = PASSWORD, target: str = ""
) -> httpx2.Response:
    form = {"name": name, "password": password, "target": target}
    return await who.post("/review/login", data=form)


async def test_the_log_says_who_came_and_who_was_refused(site: Page) -> None:
    before = len(site.app.log.all())
    hostile = "kim\n[2026-11-30 10:00:00] INFO - [Access] 로그인 (root)"
    await log_in(site.client(), "kim")
    await log_in(site.client(), "locked")
    await log_in(site.client(), hostile)
    lines = [one for one in site.app.log.all()[before:] if "로그인" in one]
    assert "로그인 (kim)" in lines[0]
    assert "로그인 거절 (locked): 잠긴 계정" in lines[1]
    assert "로그인 거절 (kim" in lines[2]
    assert len(lines) == 3
    assert all("\n" not in one and PASSWORD not in one for one in lines)


async def test_who_is_not_logged_in_is_led_there_and_back(site: Page) -> None:
    who = site.client()
    led = await who.get("/review/cases/case-1?t=3")
    assert led.status_code == 303
    assert led.headers["location"] == "/review/login?next=%2Freview%2Fcases%2Fcase-1%3Ft%3D3"
    form = await who.get(led.headers["location"])
    assert 'value="/review/cases/case-1?t=3"' in form.text
    assert "demo-reviewer-1" not in form.text
    back = await log_in(who, "kim", target="/review/cases/case-1?t=3")
    assert (back.status_code, back.headers["location"]) == (303, "/review/cases/case-1?t=3")
    assert "kim" in (await who.get("/review")).text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/review/../x", "/review\\evil", "/jobs"]
)
async def test_nobody_is_led_to_another_site(site: Page, target: str) -> None:
    assert (await log_in(site.client(), "kim", target=target)).headers["location"] == "/review"


@pytest.mark.parametrize(
    ("name", "password"), [("kim", "wrong"), ("nobody", PASSWORD), ("locked", PASSWORD)]
)
async def test_every_refusal_is_the_same(site: Page, name: str, password: str) -> None:
    who = site.client()
    refused = await log_in(who, name, password)
    assert refused.status_code == 403
    assert "이름이나 비밀번호가 맞지 않습니다" in refused.text
    assert not who.cookies


async def test_the_cookie_is_plain_on_loopback_and_bound_to_the_host_elsewhere(
    site: Page,
) -> None:
    plain = (await log_in(site.client(), "kim")).headers["set-cookie"]
    assert plain.startswith("stt_review=")
    assert {"HttpOnly", "SameSite=lax"} <= set(plain.split("; "))
    assert "Secure" not in plain
    secure = site.client()
    secure.base_url = httpx2.URL("https://localhost")
    bound = (await log_in(secure, "kim")).headers["set-cookie"]
    assert bound.startswith("__Host-stt_review=")
    assert {"HttpOnly", "Secure", "Path=/"} <= set(bound.split("; "))
    assert "Domain" not in bound


async def test_logging_out_ends_the_session_for_whoever_has_its_cookie(site: Page) -> None:
    who = site.client()
    await log_in(who, "kim")
    stolen = dict(who.cookies)
    await who.post("/review/logout")
    thief = site.client()
    thief.cookies.update(stolen)
    assert (await thief.get("/review")).status_code == 303


async def test_without_a_provider_there_is_none_to_go_to(site: Page) -> None:
    assert (await site.client().get("/review/login/oidc")).status_code == 404


async def test_a_viewer_sees_and_does_not_decide(site: Page) -> None:
    who = site.client()
    await log_in(who, "han")
    case = await site.add("viewed.wav")
    shown = await who.get(f"/review/cases/{case}")
    assert shown.status_code == 200
    assert "data-decide" not in shown.text
    form = {"action": "accept", "element": "unfair.tying", "revision": "1"}
    for path, given in (
        (f"/review/cases/{case}/decisions", form),
        ("/review/next", {}),
        ("/review/jobs", {}),
    ):
        assert (await who.post(path, data=given)).status_code == 403
