"""Login at an OpenID Connect provider: what is believed of it, and what is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from api_server.clients.login_provider import LoginAttempt, LoginProvider, ProviderTerms
from api_server.store.store import Store
from api_server.web.passwords import hash_password
from tests.support.in_process import running
from tests.support.login_provider import (
    CLIENT,
    SECRET,
    Provider,
    provider,
    signed_with_the_secret,
    unsigned,
)
from tests.web.conftest import WITHOUT_MODEL, Page

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def honest() -> Iterator[Provider]:
    with provider() as found:
        yield found


@pytest.fixture
def them(honest: Provider) -> Iterator[Provider]:
    """The provider; what a test has it do is over at its end."""
    kept = dict(vars(honest))
    honest.claims, honest.codes, honest.asked = dict(honest.claims), {}, []
    yield honest
    vars(honest).update(kept)


@pytest.fixture(scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, honest: Provider) -> AsyncIterator[Page]:
    kept = tmp_path_factory.mktemp("oidc")
    given: dict[str, Any] = {
        "database_url": f"sqlite:///{kept}/cases.db",
        "review_oidc_issuer": honest.base,
        "review_oidc_client_id": CLIENT,
        "review_oidc_client_secret": SECRET,
        "review_group_roles": ["leads=senior", "reviews=reviewer"],
    }
    async with running(**WITHOUT_MODEL, **given) as found:
        secret = hash_password(PASSWORD)

        await found.service.desk.run(partial(_add_local, secret=secret), make=True)
        yield Page(found)


async def sent_there(who: httpx2.AsyncClient, target: str = "") -> str:
    """Have a browser begin; return where it is led."""
    led = await who.get("/review/login/oidc", params={"next": target})
    assert led.status_code == 303, led.text
    return led.headers["location"]


async def come_back(who: httpx2.AsyncClient, query: dict[str, str]) -> httpx2.Response:
    return await who.get("/review/login/oidc/back", params=query)


async def log_in(site: Page, them: Provider, target: str = "") -> tuple[Any, httpx2.Response]:
    who = site.client()
    return who, await come_back(who, them.log_in(await sent_there(who, target)))


def last_refusal(site: Page) -> str:
    return [one for one in site.app.log.all() if "로그인 거절" in one][-1]


async def test_somebody_goes_there_and_comes_back_to_where_they_were(
    site: Page, them: Provider
) -> None:
    who = site.client()
    assert "회사 계정으로 로그인" in (await who.get("/review/login")).text
    url = await sent_there(who, "/review/cases/case-1?t=3")
    asked = {name: one[0] for name, one in parse_qs(urlsplit(url).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == "http://localhost/review/login/oidc/back"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    back = await come_back(who, them.log_in(url))
    assert (back.status_code, back.headers["location"]) == (303, "/review/cases/case-1?t=3")
    assert "<bdi>김검토</bdi> <small>검토자</small>" in (await who.get("/review")).text
    assert not any("userinfo" in one for one in them.asked)
    assert any("로그인 (김검토, OIDC)" in one for one in site.app.log.all())
    assert not any(SECRET in one for one in site.app.log.all())


async def test_groups_give_the_role_and_take_it(site: Page, them: Provider) -> None:
    them.claims |= {"sub": "2", "preferred_username": "lee", "groups": ["leads", "reviews"]}
    who, _ = await log_in(site, them)
    assert "<bdi>lee</bdi> <small>선임" in (await who.get("/review")).text
    them.claims["groups"] = "reviews"
    await log_in(site, them)
    assert "<bdi>lee</bdi> <small>검토자" in (await who.get("/review")).text
    them.claims["groups"] = {"leads": True}
    _, refused = await log_in(site, them)
    assert (refused.status_code, "그룹에 들어 있지 않습니다" in refused.text) == (403, True)


def _set(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.update({name: value})


def _lack(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.pop(name)


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "of another client": _set("aud", "other"),
    "of several clients, for another": lambda claims: claims.update(aud=[CLIENT, "b"], azp="b"),
    "of several clients, for nobody": _set("aud", [CLIENT, "b"]),
    "of another issuer": _set("iss", "https://evil.example"),
    "expired": lambda claims: claims.update(exp=claims["iat"] - 120),
    "of tomorrow": lambda claims: claims.update(iat=claims["iat"] + 86_400),
    "not yet": lambda claims: claims.update(nbf=claims["iat"] + 600),
    "for ever": _lack("exp"),
    "of another login": _set("nonce", "another"),
    "of no login": _lack("nonce"),
    "of nobody": _lack("sub"),
    "of a number": _set("sub", 7),
    "without a name": _lack("preferred_username"),
    "with a name that turns the text": _set("preferred_username", "kim\u202e"),
    "with a long name": _set("preferred_username", "k" * 101),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_says_something_wrong_lets_nobody_in(
    site: Page, them: Provider, lie: str
) -> None:
    them.twist = LIES[lie]
    who, refused = await log_in(site, them)
    assert (refused.status_code, "확인하지 못했습니다" in refused.text) == (403, True)
    assert "로그인 서버의 답을 믿을 수 없음" in last_refusal(site)
    assert (await who.get("/review")).status_code == 303


@pytest.mark.parametrize("forged", [unsigned, signed_with_the_secret, lambda _: "a.b.c"])
async def test_a_token_that_the_provider_has_not_signed_lets_nobody_in(
    site: Page, them: Provider, forged: Callable[[dict[str, Any]], str]
) -> None:
    them.forge = forged
    _, refused = await log_in(site, them)
    assert refused.status_code == 403


async def test_a_signature_of_another_key_lets_nobody_in(site: Page, them: Provider) -> None:
    await log_in(site, them)
    them.published = them.keys
    them.rotate()
    _, refused = await log_in(site, them)
    assert refused.status_code == 403
    assert "ID token does not hold" in last_refusal(site)


async def test_clocks_may_differ_by_a_minute(site: Page, them: Provider) -> None:
    them.twist = lambda claims: claims.update(iat=claims["iat"] + 40, exp=claims["iat"] - 40)
    _, back = await log_in(site, them)
    assert back.status_code == 303


async def test_an_answer_is_good_for_the_browser_that_began_and_once(
    site: Page, them: Provider
) -> None:
    them.checks = False  # it would take a code twice, from anybody
    who, thief = site.client(), site.client()
    query = them.log_in(await sent_there(who))
    kept = dict(who.cookies)
    assert (await come_back(thief, query)).status_code == 403
    await sent_there(thief)
    assert (await come_back(thief, query)).status_code == 403
    assert (await come_back(who, query | {"state": "another"})).status_code == 403
    query = them.log_in(await sent_there(who))
    kept = dict(who.cookies)
    assert (await come_back(who, query)).status_code == 303
    again = site.client()
    again.cookies.update(kept)
    refused = await come_back(again, query)
    assert (refused.status_code, "이미 쓴 로그인입니다" in refused.text) == (403, True)


async def test_a_code_of_another_login_is_worth_nothing(site: Page, them: Provider) -> None:
    """Somebody puts a code of their own, or one that they have seen, into another's answer."""
    mine, theirs = site.client(), site.client()
    stolen = them.log_in(await sent_there(theirs))["code"]
    query = them.log_in(await sent_there(mine)) | {"code": stolen}
    refused = await come_back(mine, query)
    assert refused.status_code == 403
    assert "refuses the code: HTTP 400" in last_refusal(site)


@pytest.mark.parametrize(
    "change", [{"iss": "https://evil.example"}, {"iss": None}, {"error": "access_denied"}]
)
async def test_an_answer_of_another_provider_is_worth_nothing(
    site: Page, them: Provider, change: dict[str, str | None]
) -> None:
    who = site.client()
    query = them.log_in(await sent_there(who)) | change
    given = {name: one for name, one in query.items() if one is not None}
    assert (await come_back(who, given)).status_code == 403
    assert "/token" not in them.asked


async def test_a_locked_account_stays_out_whatever_the_provider_says(
    site: Page, them: Provider
) -> None:
    them.claims |= {"sub": "3", "preferred_username": "park"}
    who, _ = await log_in(site, them)
    run = site.app.service.desk.run
    await run(lambda store: store.accounts.lock("park", locked=True))
    assert (await who.get("/review")).status_code == 303
    _, refused = await log_in(site, them)
    assert (refused.status_code, "잠긴 계정" in refused.text) == (403, True)


@pytest.mark.parametrize("name", ["local", "김검토"])
async def test_a_name_that_is_another_ones_is_not_theirs(
    site: Page, them: Provider, name: str
) -> None:
    await log_in(site, them)
    them.claims |= {"sub": "somebody else", "preferred_username": name}
    _, refused = await log_in(site, them)
    assert (refused.status_code, "다른 계정의 것입니다" in refused.text) == (403, True)


async def test_logging_out_leads_to_the_providers_logout(site: Page, them: Provider) -> None:
    who, _ = await log_in(site, them)
    out = await who.post("/review/logout")
    assert out.headers["location"] == "/review/login?out=1"
    assert "/review/login/oidc/out" in (await who.get("/review/login?out=1")).text
    led = await who.get("/review/login/oidc/out")
    query = "client_id=stt&post_logout_redirect_uri=http%3A%2F%2Flocalhost%2Freview%2Flogin"
    assert led.headers["location"] == f"{them.base}/end?{query}"
    assert (await who.get("/review")).status_code == 303


def _terms(issuer: str) -> ProviderTerms:
    return ProviderTerms(issuer, CLIENT, SECRET)


async def test_keys_that_were_changed_are_read_again(them: Provider) -> None:
    now = [0.0]
    client = LoginProvider(_terms(them.base), monotonic=lambda: now[0])
    attempt = LoginAttempt("http://localhost/", "s", "n", "v", "c")
    them.checks = False
    url = await client.login_url(attempt)
    assert (await client.claims(attempt, them.log_in(url)))["sub"] == "1"
    them.rotate()
    now[0] += 6.0
    assert (await client.claims(attempt, them.log_in(url)))["sub"] == "1"
    assert them.asked.count("/keys") == 2
    await client.aclose()


async def test_a_provider_that_is_gone_leaves_local_accounts_working(
    site: Page, tmp_path: Path
) -> None:
    with provider() as gone:
        given: dict[str, Any] = {
            "database_url": f"sqlite:///{tmp_path}/cases.db",
            "review_oidc_issuer": gone.base,
            "review_oidc_client_id": CLIENT,
        }
        async with running(**WITHOUT_MODEL, **given) as found:
            page = Page(found)
            secret = hash_password(PASSWORD)
            add = partial(_add_local, secret=secret)
            await found.service.desk.run(add, make=True)
            who = page.client()
            await sent_there(who)
            gone.stop()
            assert (await who.get("/review/login")).status_code == 200
            refused = await who.get("/review/login/oidc")
            assert refused.status_code == 503
            assert "회사 로그인 서버에 연결할 수 없습니다(Connection refused)" in refused.text
            assert "로그인 서버에 연결할 수 없음 (Connection refused)" in last_refusal(page)
            form = {"name": "local", "password": PASSWORD}
            assert (await who.post("/review/login", data=form)).status_code == 303


def _add_local(store: Store, secret: str) -> None:
    store.accounts.add("local", "reviewer", secret)


@pytest.mark.parametrize(
    ("describe", "why"),
    [
        (_set("issuer", "https://evil.example"), "another issuer"),
        (_set("authorization_endpoint", "http://evil.example/"), "authorization_endpoint"),
        (_lack("authorization_endpoint"), "authorization_endpoint"),
    ],
)
async def test_a_provider_that_is_another_one_is_not_gone_to(
    them: Provider, describe: Callable[[dict[str, Any]], None], why: str
) -> None:
    them.describe = describe
    client = LoginProvider(_terms(them.base))
    with pytest.raises(Exception, match=why):
        await client.login_url(LoginAttempt("http://localhost/", "s", "n", "v", "c"))
    await client.aclose()
