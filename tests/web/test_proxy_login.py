"""Login by a header that a trusted proxy sets, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from api_server.settings import Settings
from api_server.settings.sign_on import ROLES as KNOWN
from api_server.store.review_records import ROLES
from api_server.web.passwords import hash_password
from tests.support.in_process import running
from tests.web.conftest import WITHOUT_MODEL, Page

PROXY, STRANGER = "10.1.2.3", "10.9.9.9"
PASSWORD = "correct horse battery"
USER, GROUPS = "X-Forwarded-User", "X-Forwarded-Groups"


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    kept = tmp_path_factory.mktemp("proxied")
    given: dict[str, Any] = {
        "database_url": f"sqlite:///{kept}/cases.db",
        "review_proxy_user_header": USER,
        "review_proxy_groups_header": GROUPS,
        "review_proxy_addresses": ["10.1.2.0/24"],
        "review_group_roles": ["/bank/leads=senior", "reviews=reviewer"],
        "api_allowed_hosts": ["page.example"],
        "api_trusted_proxies": ["10.1.2.3", STRANGER],
    }
    async with running(**WITHOUT_MODEL, **given) as found:
        await found.service.desk.run(
            lambda store: store.accounts.add("local", "senior", hash_password(PASSWORD)), make=True
        )
        yield Page(found)


def test_settings_that_cannot_both_hold_are_told() -> None:
    alone = Settings(review_proxy_user_header=USER, _env_file=None)
    assert any("REVIEW_PROXY_ADDRESSES" in one for one in alone.contradictions())
    half = Settings(review_oidc_issuer="https://login.example", _env_file=None)
    assert any("REVIEW_OIDC_CLIENT_ID" in one for one in half.contradictions())


@pytest.mark.parametrize(
    "given",
    [
        {"review_oidc_issuer": "http://login.example"},
        {"review_group_roles": ["reviews=boss"]},
        {"review_group_roles": ["reviewer"]},
        {"review_proxy_user_header": "X User"},
        {"review_proxy_addresses": ["proxy.example"]},
        {"review_oidc_scopes": "profile"},
    ],
)
def test_settings_without_a_meaning_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        Settings(**given, _env_file=None)


def test_the_settings_know_the_roles() -> None:
    assert set(KNOWN) == set(ROLES)


def sent_from(site: Page, peer: str, **headers: str) -> httpx2.AsyncClient:
    """Return a browser behind the connection of ``peer``."""
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=site.app.app, client=(peer, 4000)),
        base_url="https://page.example",
        headers={"Sec-Fetch-Site": "same-origin", **headers},
    )


def by_proxy(site: Page, name: str, groups: str = "reviews", **more: str) -> httpx2.AsyncClient:
    return sent_from(site, PROXY, **{USER: name, GROUPS: groups}, **more)


def refusals(site: Page) -> list[str]:
    return [one for one in site.app.log.all() if "로그인 거절" in one]


async def test_whom_the_proxy_names_is_in_with_the_role_of_their_groups(site: Page) -> None:
    async with by_proxy(site, "kim", "staff, reviews") as kim:
        shown = await kim.get("/review")
    assert shown.status_code == 200
    assert "<bdi>kim</bdi> <small>검토자</small>" in shown.text
    assert "/review/logout" not in shown.text
    assert "set-cookie" not in shown.headers
    assert any("로그인 (kim, 프록시)" in one for one in site.app.log.all())
    async with by_proxy(site, "kim", "reviews,/bank/leads") as kim:
        assert "<bdi>kim</bdi> <small>선임" in (await kim.get("/review")).text


async def test_a_korean_name_comes_as_utf_8(site: Page) -> None:
    async with sent_from(site, PROXY) as kim:
        shown = await kim.get("/review", headers={USER: "김검토".encode(), GROUPS: b"reviews"})
    assert "<bdi>김검토</bdi>" in shown.text


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"X-Forwarded-For": PROXY},
        {"X-Forwarded-For": f"{PROXY}, {PROXY}", "X-Real-IP": PROXY, "Forwarded": f"for={PROXY}"},
    ],
)
@pytest.mark.parametrize("path", ["/review", "/review/login", "/review/assets/page.css"])
async def test_nobody_else_is_believed_whatever_they_say_of_addresses(
    site: Page, path: str, more: dict[str, str]
) -> None:
    """STRANGER's word on addresses is taken, and it is no proxy that lets people in."""
    before = len(refusals(site))
    async with sent_from(site, STRANGER, **{USER: "kim", GROUPS: "reviews"}, **more) as thief:
        refused = await thief.get(path)
    assert refused.status_code == 403
    assert "믿을 수 있는 프록시에서 오지 않았습니다" in refused.text
    (line,) = refusals(site)[before:]
    assert f"(from {STRANGER})" in line


async def test_the_proxy_is_known_by_its_connection_and_not_by_whom_it_speaks_for(
    site: Page,
) -> None:
    async with by_proxy(site, "kim", **{"X-Forwarded-For": "192.0.2.7"}) as kim:
        assert (await kim.get("/review")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(USER, "kim"), (USER, "lee"), (GROUPS, "reviews")],
        [(USER, "kim"), (GROUPS, "reviews"), (GROUPS, "/bank/leads")],
        [(USER, "kim\tlee"), (GROUPS, "reviews")],
        [(USER, "k" * 101), (GROUPS, "reviews")],
    ],
)
async def test_what_is_ambiguous_is_refused(site: Page, headers: list[tuple[str, str]]) -> None:
    async with sent_from(site, PROXY) as kim:
        refused = await kim.get("/review", headers=httpx2.Headers(headers))
    assert refused.status_code == 403


async def test_who_is_in_no_group_or_locked_or_another_one_stays_out(site: Page) -> None:
    async with by_proxy(site, "han", "staff") as han:
        assert "그룹에 들어 있지 않습니다" in (await han.get("/review")).text
    async with by_proxy(site, "lee") as lee:
        assert (await lee.get("/review")).status_code == 200
        lock = site.app.service.desk.run
        await lock(lambda store: store.accounts.lock("lee", locked=True))
        refused = await lee.get("/review")
        assert (refused.status_code, "잠긴 계정" in refused.text) == (403, True)
    async with by_proxy(site, "local") as thief:
        refused = await thief.get("/review")
    assert (refused.status_code, "다른 계정의 것입니다" in refused.text) == (403, True)
    assert "로그인 거절 (local): 다른 사람의 계정 이름" in refusals(site)[-1]


async def test_an_account_that_was_made_external_is_theirs(site: Page) -> None:
    run = site.app.service.desk.run
    secret = hash_password(PASSWORD)
    await run(lambda store: store.accounts.add("moved", "viewer", secret))
    await run(lambda store: store.accounts.make_external("moved"))
    async with sent_from(site, "192.0.2.1") as who:
        form = {"name": "moved", "password": PASSWORD}
        assert (await who.post("/review/login", data=form)).status_code == 403
    async with by_proxy(site, "moved") as who:
        assert (await who.get("/review")).status_code == 200
    (found,) = [
        one for one in await run(lambda store: store.accounts.list()) if one.name == "moved"
    ]
    assert (found.role, found.external) == ("reviewer", True)


async def test_other_pages_cannot_send_for_whom_the_proxy_names(site: Page) -> None:
    async with by_proxy(site, "kim") as kim:
        sent = await kim.post("/review/next", headers={"Sec-Fetch-Site": "cross-site"})
    assert sent.status_code == 403


async def test_a_name_does_not_cross_a_network_in_the_clear(site: Page) -> None:
    async with by_proxy(site, "kim") as kim:
        assert (await kim.get("http://page.example/review")).status_code == 403
        proto = {"X-Forwarded-Proto": "https"}
        found = await kim.get("http://page.example/review", headers=proto)
        assert found.status_code == 200


async def test_local_accounts_log_in_as_before(site: Page) -> None:
    async with sent_from(site, "192.0.2.1") as who:
        form = {"name": "local", "password": PASSWORD}
        assert (await who.post("/review/login", data=form)).status_code == 303
        assert (await who.get("/review")).status_code == 200
