"""Search on the page: masked words, a link to the second, how far was looked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from api_server.pii.redaction import RedactionFailed
from api_server.store import audit_log
from api_server.store.store import Store
from api_server.web.background import read_words
from api_server.web.desk import ReviewDesk
from api_server.web.searching import letters_of, searchable, wanted_of
from stt_engine.speech import Segment
from tests.support.in_process import running
from tests.support.reviewed import hostile_segments, sample_result
from tests.web.conftest import WITHOUT_MODEL, Page

PHONE = (
    Segment(0, 3.0, 6.0, "제 번호는 010-1234-5678 입니다.", 0, "customer"),
    Segment(1, 65.25, 70.0, "네, 해지 환급금은 A-7 상품이 더 많습니다!", 0, "agent"),
)


@pytest.fixture(scope="module")
async def searched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page of its own: others' calls would be found too."""
    kept = tmp_path_factory.mktemp("search")
    where = {"database_url": f"sqlite:///{kept}/cases.db"}
    async with running(**{**WITHOUT_MODEL, **where}) as found:
        page = Page(found)
        await page.add("전화.wav", sample_result(PHONE), metadata='{"agent": "A-17"}')
        await page.add("<b>hostile</b>", sample_result(hostile_segments()))
        await ready(page)
        yield page


async def ready(page: Page) -> None:
    desk: ReviewDesk = page.app.app.state.review
    while await desk.read_new() or await read_words(desk):
        pass


def test_letters_are_found_whatever_is_between_them() -> None:
    text = "해지  환급금은, (A-7) ＡＢ입니다"
    letters, places = letters_of(text)
    assert letters == "해지환급금은a7ab입니다"
    assert [text[at] for at in places] == list("해지환급금은A7ＡＢ입니다")
    assert wanted_of(" 환급 금은 a7 ") == "환급금은a7"
    assert wanted_of("***") == ""
    words, lines = searchable(PHONE)
    assert words.split("\n")[1] == "네해지환급금은a7상품이더많습니다"
    assert lines.startswith('[[3.0, "customer", ')


async def test_a_sentence_is_found_with_a_link_to_its_second(searched: Page) -> None:
    who = await searched.person()
    html = (await who.get("/review/search?q=환급금은 a7")).text
    (address,) = set(re.findall(r'href="(/review/cases/[^"]+\?t=[^"]+)"', html))
    assert address.endswith("?t=65.25")
    assert "네, 해지 <mark>환급금은 A-7</mark> 상품이 더 많습니다!" in html
    assert "새것부터 2건을 살펴보았습니다" in re.sub(r"\s+", " ", html)
    assert "더 볼 통화가 없습니다" in html
    assert (await who.get(address)).status_code == 200
    assert "찾지 못했습니다" in (await who.get("/review/search?q=환급금은 a7&agent=B-1")).text
    assert "전화.wav" in (await who.get("/review/search?q=환급금&agent=A-17")).text


async def test_what_is_masked_can_neither_be_found_nor_seen(searched: Page) -> None:
    who = await searched.person()
    for words in ("010-1234-5678", "1234", "5678입니다"):
        assert "찾지 못했습니다" in (await who.get(f"/review/search?q={words}")).text
    html = (await who.get("/review/search?q=제 번호는")).text
    assert "<mark>제 번호는</mark> ***-****-**** 입니다." in html


async def test_hostile_words_and_names_are_text(searched: Page) -> None:
    who = await searched.person()
    html = (await who.get("/review/search?q=script")).text
    assert "&lt;b&gt;hostile&lt;/b&gt;" in html
    assert "&lt;<mark>script</mark>&gt;document" in html
    assert len((await who.get("/review/search?q=가가가")).text) < 20_000, "of a word of 1 MB a part"
    html = (await who.get('/review/search?q="><script>alert(1)')).text
    assert "<script>alert" not in html


@pytest.mark.parametrize("words", ["금", "!!", "가" * 101, "*" * 9])
async def test_too_short_and_too_long_is_said(searched: Page, words: str) -> None:
    answer = await (await searched.person()).get("/review/search", params={"q": words})
    assert (answer.status_code, "2자 이상" in answer.text) == (400, True)


async def test_what_cannot_be_searched_is_counted_and_not_left_out_silently(
    searched: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk: ReviewDesk = searched.app.app.state.review
    who = await searched.person()

    async def fail(*_: object) -> None:
        raise RedactionFailed("no")

    with monkeypatch.context() as patched:
        patched.setattr(desk.masked, "segments", fail)
        case = await searched.add("withheld.wav", sample_result(PHONE))
        await ready(searched)
    html = (await who.get("/review/search?q=환급금")).text
    assert case not in html
    assert re.search(r"찾을 수 없는 통화 <b>1</b>", html)


async def test_the_log_has_the_look_before_anything_is_shown(searched: Page) -> None:
    await (await searched.person("demo-senior")).get("/review/search?q=해지 환급금")

    def looks(store: Store) -> list[str]:
        with store._database.read() as connection:
            entries = [one.entry for one in audit_log.entries(connection, "")]
        return [one.facts for one in entries if one.actor == "demo-senior"]

    (facts,) = await searched.app.service.desk.run(looks)
    assert '"what": "search"' in facts
    assert "환급" not in facts
    nobody = await searched.client().get("/review/search?q=환급금")
    assert (nobody.status_code, nobody.headers["location"][:13]) == (303, "/review/login")
