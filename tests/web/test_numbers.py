"""What is counted, how sure that is, and the tables that people take away."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import httpx2
import pytest

from api_server.store import audit_log
from api_server.store.review_records import (
    CaseFilter,
    ConfidenceTally,
    Tally,
    monday_of,
    week_of,
)
from api_server.store.store import Store
from api_server.web.calibration import by_element, calibrated
from api_server.web.filters import as_query, read_filter
from api_server.web.numbers import MOST_ROWS
from api_server.web.statistics import LEAST, group_up, kappa, share, total_of
from api_server.web.tables import as_csv, as_xlsx, harmless
from tests.support.in_process import running
from tests.support.reviewed import clean_result, sample_result
from tests.web.conftest import WITHOUT_MODEL, Decide, Page

SURE = "solicitation.certainty"
EVASION = "explanation.evasion"
FEES = "explanation.fees"
FORMULA = '=HYPERLINK("http://evil.example","x")'


def test_shares_have_wilsons_interval() -> None:
    found = share(8, 10)
    assert found is not None
    # By hand: (0.8 + z²/20 ± z·sqrt(0.016 + z²/400)) / (1 + z²/10).
    assert (round(found.low, 4), round(found.high, 4), found.of) == (0.4902, 0.9433, 10)
    whole = share(3, 3)
    assert whole is not None
    assert (whole.value, round(whole.low, 4), whole.high) == (1.0, 0.4385, 1.0)
    assert share(0, 0) is None


def test_kappa_is_agreement_beyond_chance() -> None:
    found = kappa({(True, True): 20, (True, False): 5, (False, True): 10, (False, False): 15})
    assert found is not None
    assert found.value == pytest.approx(0.4)  # the example of every textbook
    assert found.low < 0.4 < found.high
    few = {(True, True): LEAST - 1}
    assert kappa(few) is None
    assert kappa({(True, True): 100}) is None, "chance alone explains it"
    agreeing = kappa({(True, True): 5, (False, False): 5})
    assert agreeing is not None
    assert (agreeing.value, agreeing.low < 0.5) == (1.0, True), "ten judgements prove little"


def tally(
    status: str, decided: str | None, number: int = 1, kind: str = "prohibited", **more: object
) -> Tally:
    wanted = bool(more.pop("wanted", status in {"violated", "undetermined"}))
    moved = more.pop("moved_to", None)
    waits = wanted and decided is None
    return Tally(SURE, kind, status, wanted, waits, decided, moved, number)  # type: ignore[arg-type]


def test_what_people_made_of_it_is_counted() -> None:
    groups = group_up(
        [
            tally("violated", "violated", 5),
            tally("violated", "not_found", 2),
            tally("violated", "undetermined"),
            tally("violated", None, 3),
            tally("violated", "violated", moved_to=EVASION),
            tally("undetermined", "violated", 4),
            tally("undetermined", None, 7, wanted=False),
            tally("not_found", "violated", 2),
            tally("not_found", "not_found", 40),
            tally("not_found", None, 900),
        ],
        {SURE: 965},
        by_element=True,
    )
    one = groups[SURE]
    assert (one.calls, one.checked, one.accused) == (965, 965, 12)
    assert (one.suspected, one.undetermined, one.waiting) == (4, 7, 3)
    assert (one.confirmed, one.rejected, one.left_open, one.missed) == (9, 3, 1, 2)
    assert one.precision is not None
    assert (one.precision.value, one.precision.of) == (5 / 8, 8)
    assert one.both == {
        (True, True): 5,
        (True, False): 3,
        (False, True): 2,
        (False, False): 40,
    }
    assert groups[EVASION].missed == 1
    total = total_of(groups.values(), 965)
    assert (total.missed, total.both, total.calls) == (3, one.both, 965)


def test_a_duty_is_confirmed_where_people_too_call_it_missing() -> None:
    found = group_up(
        [
            tally("not_found", "not_found", 3, "required", wanted=True),
            tally("not_found", "satisfied", 1, "required", wanted=True),
            tally("satisfied", "satisfied", 2, "required"),
        ],
        {},
        by_element=True,
    )[SURE]
    assert (found.accused, found.confirmed, found.rejected) == (4, 3, 1)
    assert found.both == {(True, True): 3, (True, False): 1, (False, False): 2}


def test_confidence_is_held_against_what_people_settled() -> None:
    few = ConfidenceTally(SURE, 4, LEAST - 1, 8.0, 8)
    right = ConfidenceTally(SURE, 4, 40, 34.0, 33)
    over = ConfidenceTally(EVASION, 4, 40, 34.0, 20)
    under = ConfidenceTally(FEES, 1, 40, 12.0, 30)
    words = [calibrated([one])[0].verdict[0][1] for one in (few, right, over, under)]
    assert words == [
        f"fewer than {LEAST} judgements",
        "within the interval",
        "too sure",
        "not sure enough",
    ]
    whole, groups = calibrated([right, under])
    assert (whole.number, whole.stated) == (80, pytest.approx(46 / 80))
    assert whole.actual is not None
    assert (whole.actual.value, whole.actual.of) == (63 / 80, 80)
    assert [one.number for one in groups] == [0, 40, 0, 0, 40, 0]
    assert [one.edges for one in groups][-2:] == ["80–90%", "90–100%"]
    assert calibrated([])[0].actual is None
    assert {name: one.number for name, one in by_element([right, under]).items()} == {
        SURE: 40,
        FEES: 40,
    }


def test_weeks_begin_on_monday_in_korea() -> None:
    sunday = datetime(2026, 11, 29, 14, 59, tzinfo=UTC).timestamp()  # 23:59 in Seoul
    assert monday_of(week_of(sunday)) == date(2026, 11, 23)
    assert monday_of(week_of(sunday + 60)) == date(2026, 11, 30)
    assert week_of(0.0) == 0


def test_days_are_koreas_and_the_last_one_is_whole() -> None:
    which = read_filter({"from": "2026-11-30", "to": "2026-11-30", "agent": "", "warned": "1"})
    begin = datetime(2026, 11, 29, 15, tzinfo=UTC).timestamp()
    assert which == CaseFilter(since=begin, until=begin + 86_400, warned=True)
    assert read_filter({"from": "0000-99-99", "to": "9999-12-31"}) == CaseFilter()
    assert as_query({"agent": "김 & 이", "by": "week", "x": "1"}, by="week") == (
        "agent=%EA%B9%80+%26+%EC%9D%B4&by=week"
    )


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", " =", "\u3000=", "＝", "\r", "＠"])
def test_what_would_be_a_formula_is_text_in_csv(begin: str) -> None:
    given = f"{begin}1+1"
    (_, (found, number)) = list(
        csv.reader(io.StringIO(as_csv(["a", "b"], [[given, -1.5]]).decode("utf-8-sig"), newline=""))
    )
    assert (found, number) == (f"'{given}", "-1.5")
    assert harmless("김상담 - 1") == "김상담 - 1"


def test_what_would_be_a_formula_or_a_link_is_text_in_xlsx() -> None:
    rows = [[FORMULA, "https://evil.example", 3, 0.5, date(2026, 11, 30), None, "가" * 40_000]]
    raw = as_xlsx("numbers", ["a"] * 7, rows)
    with zipfile.ZipFile(io.BytesIO(raw)) as book:
        assert book.testzip() is None
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        strings = book.read("xl/sharedStrings.xml").decode()
        names = book.namelist()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet
    assert not [one for one in names if "externalLink" in one or "vba" in one.lower()]
    assert "=HYPERLINK(" in strings
    assert "<v>0.5</v>" in sheet


@pytest.fixture(scope="module")
async def counted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page of its own: others' cases would be counted too."""
    kept = tmp_path_factory.mktemp("numbers")
    where = {"database_url": f"sqlite:///{kept}/cases.db", "review_sample_percent": 100}
    async with running(**{**WITHOUT_MODEL, **where}) as found:
        yield Page(found)


async def settle(page: Page, decide: Decide, case: str, *actions: str) -> None:
    seen = 0
    for number, action in enumerate(actions, 1):
        who = await page.person(f"demo-reviewer-{number}")
        answer = await decide(who, case, SURE, action, seen=seen, reason="고객이 한 말")
        assert answer.status_code == 200, answer.text

        def let_go(store: Store, name: str = f"demo-reviewer-{number}") -> int:
            store.reviews.let_go(case, name, put_off=False)
            return store.reviews.get(case).decisions[-1].seq

        seen = await page.app.service.desk.run(let_go)


def table(answer: httpx2.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


async def test_the_page_counts_and_its_tables_agree(counted: Page, decide: Decide) -> None:
    page = counted
    people = '{"agent": "A-17", "product": "ELS"}'
    confirmed = await page.add("confirmed.wav", sample_result(), metadata=people)
    rejected = await page.add(f"{FORMULA}.wav", sample_result(), metadata=people)
    await page.add("waiting.wav", sample_result())
    await settle(page, decide, confirmed, "accept", "accept")
    await settle(page, decide, rejected, "reject", "reject")
    sample = await page.add("clean.wav", clean_result())
    who = await page.person()
    html = (await who.get(f"/review/cases/{sample}")).text
    assert "표본: 놓친 것이 없는지 듣기" in html
    assert (
        'name="action" value="reject"><input type="hidden" name="element" value="sample"'
        not in html
    )
    refused = await decide(who, sample, "sample", "change", status="not_found", reason="no")
    assert refused.status_code == 400
    assert (await decide(who, sample, "sample", "accept")).status_code == 200

    rows = {one["항목"]: one for one in table(await who.get("/review/numbers.csv"))}
    sure = rows["단정적 판단 제공"]
    assert (sure["점검한 통화"], sure["기계: 위반·누락"]) == ("4", "3")
    assert (sure["확정된 위반"], sure["기각"], sure["결정 대기"]) == ("1", "1", "1")
    assert (sure["정밀도"], sure["정밀도의 건수"]) == ("0.5", "2")
    assert rows["전체"]["점검한 통화"] == "4"
    by_agent = table(await who.get("/review/numbers.csv?by=agent"))
    assert [one["상담원"] for one in by_agent] == ["A-17", "(적혀 있지 않음)", "전체"]
    assert [one["점검한 통화"] for one in by_agent] == ["2", "2", "4"]
    only = table(await who.get("/review/numbers.csv?by=product&product=ELS&element=" + SURE))
    assert [one["상품"] for one in only] == ["ELS", "전체"]
    assert only[0]["확정된 위반"] == "1"

    confidence = table(await who.get("/review/calibration.csv?agent=A-17"))
    (whole, certain) = [
        one
        for one in confidence
        if one["항목"] in {"전체", "단정적 판단 제공"}
        and one["확신 까지"] == "1.0"
        and one["확신 부터"] == "0.0"
    ]
    assert (whole["판단 건수"], certain["판단 건수"]) == ("2", "2")
    assert (certain["사람: 있었다"], certain["맞는가"]) == ("0.5", "판단이 10건보다 적음")
    assert 0.9 < float(certain["확신 평균"]) <= 1
    assert (await who.get("/review/calibration.xlsx")).content[:2] == b"PK"
    html = (await who.get("/review/numbers?agent=A-17")).text
    assert "판단이 너무 적어 확신이 맞는지 말할 수 없습니다" in html
    assert html.count("<circle ") == 1
    assert "사람이 확정한 것이 아직 없어" in (await who.get("/review/numbers?agent=nobody")).text

    html = (await who.get("/review/numbers?by=week")).text
    assert re.search(r"<tfoot>.*?전체.*?>4<", html, re.DOTALL)
    sheet = await who.get("/review/numbers.xlsx?by=week")
    assert sheet.content[:2] == b"PK"
    assert "attachment" in sheet.headers["content-disposition"]


async def test_findings_leave_without_words_and_the_log_says_who_took_them(
    counted: Page,
) -> None:
    who = await counted.person("demo-senior")
    for form in ("csv", "xlsx"):
        answer = await who.get(f"/review/findings.{form}?element={SURE}")
        assert answer.status_code == 200
    rows = table(await who.get(f"/review/findings.csv?element={SURE}"))
    assert {one["확정된 판정"] for one in rows} == {"위반", "위반 발언 없음", ""}
    assert all("원금" not in str(one) for one in rows)
    assert f"'{FORMULA}.wav" in {one["파일"] for one in rows}
    assert {one["첫 검토자"] for one in rows} == {"demo-reviewer-1", ""}

    def looks(store: Store) -> list[tuple[str, str]]:
        with store._database.read() as connection:
            entries = [one.entry for one in audit_log.entries(connection, "")]
        return [(one.actor, one.facts) for one in entries if one.kind == "look"]

    told = await counted.app.service.desk.run(looks)
    assert [actor for actor, _ in told] == ["demo-senior"] * 3
    assert '"form":"xlsx"' in str(told).replace(" ", "")
    assert (await who.get("/review/findings.pdf")).status_code == 404
    assert (await who.get("/review/numbers.exe")).status_code == 404
    nobody = await counted.client().get("/review/findings.csv")
    assert (nobody.status_code, nobody.headers["location"][:13]) == (303, "/review/login")


async def test_too_many_findings_are_refused_in_words(
    counted: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_server.web.numbers.MOST_ROWS", 1)
    assert MOST_ROWS == 50_000
    who = await counted.person()
    answer = await who.get("/review/findings.csv")
    assert (answer.status_code, "기간이나 항목을 좁히십시오" in answer.text) == (400, True)


async def test_filters_are_kept_under_a_name_for_oneself(counted: Page) -> None:
    who = await counted.person()
    query = "agent=A-17&degraded=1&evil=javascript"
    kept = await who.post("/review/views", data={"query": query, "name": "<b>내 것</b>"})
    assert kept.headers["location"] == "/review?agent=A-17&degraded=1"
    html = (await who.get(kept.headers["location"])).text
    assert "&lt;b&gt;내 것&lt;/b&gt;" in html
    assert "이 보기 지우기" in html
    other = await counted.person("demo-reviewer-2")
    assert "내 것" not in (await other.get("/review")).text
    assert (await who.post("/review/views", data={"query": "", "name": " "})).status_code == 400
    await who.post("/review/views", data={"drop": "<b>내 것</b>"})
    assert "내 것" not in (await who.get("/review")).text
