"""The pages, as a browser without scripts gets them."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest

from api_server.store.store import Store
from stt_engine.speech import Segment
from tests.support.in_process import running
from tests.support.reviewed import hostile_segments, long_result, sample_result, two_channel_wav
from tests.web.conftest import WITHOUT_MODEL, Decide, Page

SURE = "solicitation.certainty"
SECOND = "second"


def card(html: str, element: str) -> str:
    """Return the part of a page that is about one element."""
    begin = html.index(f'id="f-{element}"')
    return html[begin : html.index("</article>", begin)]


def seen_in(html: str, element: str) -> str:
    found = re.search(r'name="seen" value="(\d+)"', card(html, element))
    return found[1] if found else "0"


async def test_a_call_is_shown_with_its_proof(page: Page) -> None:
    case = await page.add("shown.wav", sample_result(degraded=True), two_channel_wav(2))
    html = (await (await page.person()).get(f"/review/cases/{case}")).text
    found = card(html, SURE)
    assert "단정적 판단 제공" in found
    assert "제21조" in found
    assert "위반" in found
    assert "규칙과 LLM 분석기 모두" in found
    assert "그 말이 있었을 가능성" in found
    assert "사실상 원금은 보장된다고 보시면 됩니다" in found
    assert "해당하는 말" in found
    assert re.search(r'<mark class="bad" data-elements="[^"]*solicitation\.certainty', html)
    assert "말소리가 있으나 글로 옮기지 못함" in html
    assert "녹음의 일부가 손상되어 인식하지 못한 구간이 있습니다" in html
    quote = re.search(r'data-play="([\d.]+)" data-until="([\d.]+)"', found)
    assert quote
    sentence = re.search(r'data-start="([\d.]+)"[^>]*data-from="([\d.]+)"[^>]*>', html)
    assert sentence
    assert float(sentence[2]) == pytest.approx(float(sentence[1]) - 0.5)


async def test_where_the_recording_is_not_kept_it_says_so(page: Page) -> None:
    case = await page.add("gone.wav")

    def forget(store: Store) -> None:
        seq = store.reviews.get(case).case.seq
        with store._database.write() as connection:
            connection.exec_driver_sql("UPDATE cases SET recording = NULL WHERE seq = ?", (seq,))

    await page.app.service.desk.run(forget)
    who = await page.person()
    html = (await who.get(f"/review/cases/{case}")).text
    assert "녹음을 들을 수 없습니다" in html
    assert "<audio" not in html
    refused = await who.get(f"/review/cases/{case}/sound", headers={"X-Partial": "1"})
    assert (refused.status_code, "보관되어 있지 않아" in refused.text) == (404, True)


async def test_two_people_decide_and_the_page_says_where_it_stands(
    page: Page, decide: Decide
) -> None:
    case = await page.add("two.wav")
    kim, lee = await page.person(), await page.person("demo-reviewer-2")
    first = await decide(kim, case, SURE, "accept")
    assert first.status_code == 200, first.text
    assert "두 번째 확인 대기" in card(first.text, SURE)
    assert 'data-key="a"' not in card(first.text, SURE)
    again = await decide(kim, case, SURE, "accept", seen=seen_in(first.text, SURE))
    assert (again.status_code, "다른 사람의 확인" in again.json()["detail"]) == (409, True)
    leased = await decide(lee, case, SURE, "accept", seen=seen_in(first.text, SURE))
    assert "다른 검토자가" in leased.json()["detail"]
    await kim.post(f"/review/cases/{case}/release")
    shown = (await lee.get(f"/review/cases/{case}")).text
    second = await decide(lee, case, SURE, "accept", seen=seen_in(shown, SURE))
    assert "확정" in card(second.text, SURE)
    assert "demo-reviewer-1" in card(second.text, SURE)
    assert "되돌리기" in card(second.text, SURE)


async def test_a_change_needs_a_reason_and_a_status_that_there_is(
    page: Page, decide: Decide
) -> None:
    case, who = await page.add("changed.wav"), await page.person()
    refused = await decide(who, case, SURE, "change", status="not_applicable")
    assert (refused.status_code, refused.json()["detail"]) == (409, "이유를 적어 주십시오.")
    for wrong in ("satisfied", "nonsense"):
        assert (await decide(who, case, SURE, "change", status=wrong)).status_code == 400
    assert (await decide(who, case, "no.such", "accept")).status_code == 400
    assert (await decide(who, case, SURE, "bless")).status_code == 400
    done = await decide(
        who,
        case,
        SURE,
        "change",
        status="violated",
        other="unfair.tying",
        reason="끼워팔기임",
        quote="<b>이 말</b>",
    )
    assert "끼워팔기임" in card(done.text, SURE)
    assert "&lt;b&gt;이 말&lt;/b&gt;" in card(done.text, SURE)
    undone = await decide(who, case, SURE, "undo", seen=seen_in(done.text, SURE))
    assert "첫 검토 대기" in card(undone.text, SURE)


async def test_a_comment_stands_beside_the_call(page: Page, decide: Decide) -> None:
    case, who = await page.add("commented.wav"), await page.person()
    said = await decide(who, case, "", "comment", reason="<i>확인 바람</i>")
    assert "&lt;i&gt;확인 바람&lt;/i&gt;" in said.text


async def test_without_scripts_a_decision_leads_back(page: Page) -> None:
    case, who = await page.add("plain.wav"), await page.person()
    form = {"action": "accept", "element": SURE, "revision": "1", "seen": "0"}
    led = await who.post(f"/review/cases/{case}/decisions", data=form)
    assert (led.status_code, led.headers["location"]) == (303, f"/review/cases/{case}#{SURE}")


async def test_hostile_words_and_names_are_only_words(page: Page) -> None:
    case = await page.add(
        "<script>alert(1)</script>\u202egpj.wav", sample_result(hostile_segments())
    )
    who = await page.person()
    shown = await who.get(f"/review/cases/{case}")
    assert shown.status_code == 200
    for html in (shown.text, (await who.get("/review?state=none")).text):
        scripts = re.findall(r"<script[^>]*>", html)
        assert scripts
        assert all(
            re.fullmatch(r'<script type="module" src="/review/assets/[a-z]+\.js">', one)
            for one in scripts
        )
        assert "<img" not in html
        assert "\u202egpj" not in html
    assert "{{ 7 * 7 }}" in shown.text
    assert "가" * 1_000_000 in shown.text


async def test_numbers_of_persons_are_masked_though_the_answer_has_them(page: Page) -> None:
    words = (
        Segment(0, 0.0, 3.0, "제 번호는 010-1234-5678입니다", 1, "customer"),
        Segment(1, 3.0, 5.0, "네 확인했습니다", 0, "agent"),
    )
    case = await page.add("masked.wav", sample_result(words))
    html = (await (await page.person()).get(f"/review/cases/{case}")).text
    assert "010-1234-5678" not in html
    assert "***-****-****" in html


async def test_every_answer_forbids_what_no_page_needs(page: Page) -> None:
    who = await page.person()
    for path in ("/review", "/review/health", "/review/upload", "/review/nothing"):
        answer = await who.get(path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "style=" not in answer.text
        assert not re.search(r"\son\w+=", answer.text)
    assert (await who.get("/review/assets/page.css")).headers["cache-control"] == "no-cache"
    for name in ("..%2Fpage.py", "page.py", "none.css"):
        assert (await who.get(f"/review/assets/{name}")).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": "http://localhost"},
    ],
)
async def test_what_another_page_sends_changes_nothing(
    page: Page, decide: Decide, headers: dict[str, str]
) -> None:
    case, who = await page.add("foreign.wav"), await page.person()
    who.headers.update(headers)
    refused = await decide(who, case, SURE, "accept")
    assert (refused.status_code, "다른 페이지" in refused.json()["detail"]) == (403, True)


async def test_a_browser_that_says_only_its_origin_is_believed(page: Page) -> None:
    who = await page.person()
    del who.headers["Sec-Fetch-Site"]
    assert (await who.post("/review/next")).status_code == 403
    for origin, status in (("http://evil.example", 403), ("http://localhost", 303)):
        answer = await who.post("/review/next", headers={"Origin": origin})
        assert answer.status_code == status


async def test_next_takes_a_call_and_says_so_where_there_is_none(
    tmp_path: Path,
) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/cases.db"}
    async with running(**WITHOUT_MODEL, **where) as app:
        page = Page(app)
        who = await page.person()
        none = await who.post("/review/next")
        assert "지금 검토할 통화가 없습니다" in (await who.get(none.headers["location"])).text
        case = await page.add("next.wav")
        assert (await who.post("/review/next")).headers["location"] == f"/review/cases/{case}"
        listed = (await who.get("/review?state=open&element=&status=violated")).text
        assert f"/review/cases/{case}" in listed
        assert "demo-reviewer-1" in listed
        assert f"/review/cases/{case}" not in (await who.get("/review?degraded=1")).text


async def test_a_long_call_begins_with_the_first_sentences_and_has_the_rest(page: Page) -> None:
    case = await page.add("long.wav", long_result(320))
    who = await page.person()
    html = (await who.get(f"/review/cases/{case}")).text
    more = re.search(r'data-more="([^"]+)"', html)
    assert more
    rest = await who.get(more[1].replace("&amp;", "&"), headers={"X-Partial": "1"})
    ids = [re.findall(r'<li id="s(\d+)"', one) for one in (html, rest.text)]
    assert [len(one) for one in ids] == [300, 20]
    assert ids[0] + ids[1] == [str(n) for n in range(320)]
    whole = (await who.get(f"/review/cases/{case}?all=1")).text
    assert len(re.findall(r'<li id="s\d+"', whole)) == 320
    assert "data-more" not in whole
    stale = await who.get(f"/review/cases/{case}/sentences?revision=2", headers={"X-Partial": "1"})
    assert stale.status_code == 409


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "x", "1e9", "٣"])
async def test_numbers_that_are_none_are_no_defect(page: Page, decide: Decide, number: str) -> None:
    case, who = await page.add("numbers.wav"), await page.person()
    assert (await decide(who, case, SURE, "accept", seen=number)).status_code == 409
    refused = await decide(who, case, SURE, "accept", revision=number)
    assert refused.status_code in {400, 409}
    for after in (f"{number},{number}", f"1,{number}", f"nan,{number}", "inf,1"):
        assert (await who.get("/review", params={"after": after})).status_code == 200


async def test_a_job_from_the_page(page: Page) -> None:
    who = await page.person()
    empty = await who.post("/review/jobs", data={"check": "true"}, headers={"X-Partial": "1"})
    assert (empty.status_code, empty.json()["detail"]) == (400, "파일을 하나 이상 고르십시오.")
    files = [("file", (f"{n}.wav", two_channel_wav(0.2))) for n in range(2)]
    taken = await who.post(
        "/review/jobs", data={"check": "true"}, files=files, headers={"X-Partial": "1"}
    )
    job = taken.json()["job"]
    html = (await who.get(f"/review/jobs/{job}")).text
    assert html.count("1.wav") == 1
    assert "대기" in html
    assert f"/review/jobs/{job}" in (await who.get("/review/upload")).text
    assert (await who.get("/review/jobs/job-none")).status_code == 404
    cases = await page.app.service.desk.run(lambda store: store.list_cases(None, 9, None, job))
    waiting = await who.get(f"/review/cases/{cases[0].id}")
    assert "이 통화에는 아직 답이 없습니다" in waiting.text


async def test_health_is_in_plain_words(page: Page) -> None:
    with anyio.fail_after(60):
        while page.app.service.report.response().last_failures == []:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    html = (await (await page.person()).get("/review/health")).text
    assert "새 통화를 글로 옮기지 못합니다" in html
    assert "저하되어 있습니다" in html
    assert "FileNotFoundError" in html


async def test_english_by_a_switch(page: Page) -> None:
    who = await page.person()
    form = {"language": "en", "target": "/review/health"}
    led = await who.post("/review/language", data=form)
    assert led.headers["location"] == "/review/health"
    html = (await who.get("/review")).text
    assert '<html lang="en">' in html
    assert "Review the next call" in html


async def test_a_store_that_is_gone_is_said_and_nothing_is_kept(tmp_path: Path) -> None:
    where = {"database_url": f"sqlite:///{tmp_path}/cases.db"}
    async with running(**WITHOUT_MODEL, **where) as app:
        who = await Page(app).person()
        (tmp_path / "cases.db").rename(tmp_path / "elsewhere.db")
        answer = await who.get("/review")
        assert (answer.status_code, "저장소를 쓸 수 없습니다" in answer.text) == (503, True)
