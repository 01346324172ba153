"""A whole morning without a mouse: 20 calls, a second person, a third, and the table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api_server.pipeline.result import CallResult, CheckResult
from api_server.store.recordings import RecordingFolder
from tests.browser.conftest import PAGE, Enter, Person, Site, open_store
from tests.support.reviewed import add_case, clean_result, sample_result, two_channel_wav
from tests.support.server import api_server

pytestmark = pytest.mark.timeout(900)

CALLS, ACCUSED = 20, ("solicitation.certainty", "explanation.evasion")


def accusing() -> CallResult:
    """The sample call's answer with two accusations, and nothing else to decide."""
    found, clean = sample_result(), clean_result()
    assert found.check is not None
    assert found.check.report is not None
    assert clean.check is not None
    assert clean.check.report is not None
    said = {one.element.id: one for one in found.check.report.value.elements}
    elements = tuple(
        said[one.element.id] if one.element.id in ACCUSED else one
        for one in clean.check.report.value.elements
    )
    report = found.check.report
    value = replace(report.value, elements=elements)
    return replace(found, check=CheckResult(replace(report, value=value)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("busy")
    store, recordings = open_store(folder), RecordingFolder(folder / "recordings", 10**10, 0)
    result = accusing()
    wav = two_channel_wav(result.recognition.value.duration)
    names = [f"call-{number:02}.wav" for number in range(CALLS)]
    cases = {name: add_case(store, recordings, name, result, wav) for name in names}
    store.close()
    with api_server(folder, ready=False, **PAGE) as server:
        yield Site(server.base, cases, folder)


def begin(person: Person) -> None:
    """Go to the button by Tab, and to the first call by it."""
    person.tab_to("다음 통화 검토")
    person.press("Enter")
    person.page.wait_for_url("**/review/cases/*")


def waiting(person: Person) -> int:
    return int(person.ask("document.querySelectorAll('.finding[data-mine]').length"))


def decide_all(person: Person, *keys: str) -> None:
    """Decide what waits by the same keys; at its end the focus is on the next call."""
    for _ in range(len(ACCUSED)):
        person.press("n")
        person.wait("document.querySelector('.finding.current') !== null")
        left = waiting(person)
        person.press(*keys)
        person.wait(f"document.querySelectorAll('.finding[data-mine]').length === {left - 1}")
    person.wait("document.activeElement.id === 'next-call'")


def go_on(person: Person) -> None:
    before = person.page.url
    person.press("Enter")
    person.page.wait_for_url(lambda url: url != before)


def states(person: Person) -> dict[str, int]:
    person.page.goto(f"{person.site.base}/review")
    shown = person.ask("[...document.querySelectorAll('.counts a')].map((one) => one.textContent)")
    words = (one.split(None, 1) for one in shown)
    return {state.strip(): int(number) for number, state in words}


def test_twenty_calls_a_disagreement_and_the_table(enter: Enter) -> None:
    kim = enter()
    begin(kim)
    for _ in range(CALLS):
        decide_all(kim, "a")
        go_on(kim)
    assert kim.page.url.endswith("/review?none=1")
    assert states(kim)["두 번째 확인 대기"] == CALLS

    lee = enter("demo-reviewer-2")
    begin(lee)
    disputed = lee.page.url
    decide_all(lee, "r", "1")
    go_on(lee)
    decide_all(lee, "a")
    found = states(lee)
    assert (found["두 번째 확인 대기"], found["확정"]) == (CALLS - 2, 1)

    han = enter("demo-senior")
    han.page.goto(disputed)
    han.wait("document.querySelectorAll('.finding[data-mine]').length === 2")
    decide_all(han, "a")
    assert states(han)["확정"] == 2

    han.page.goto(f"{han.site.base}/review/numbers")
    han.tab_to("하나하나")
    han.press("Tab")  # the same table as CSV
    with han.page.expect_download() as download:
        han.press("Enter")
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > CALLS * len(ACCUSED)
    assert sum("demo-senior" in row or "demo-reviewer-2" in row for row in rows) >= 2


def test_who_is_logged_out_meanwhile_has_lost_nothing_that_was_written(
    enter: Enter,
) -> None:
    """A session that was ended elsewhere (idle, locked, stolen and revoked) decides nothing."""
    kim = enter("demo-senior")
    case = kim.site.cases["call-00.wav"]
    kim.page.goto(f"{kim.site.base}/review/cases/{case}")
    kim.press("n")
    (cookie,) = (one for one in kim.context.cookies() if "stt_review" in one["name"])
    thief = enter("demo-reviewer-1")
    thief.context.clear_cookies()
    thief.context.add_cookies([cookie])  # type: ignore[list-item] # what it gives, it takes
    thief.page.goto(f"{kim.site.base}/review")
    assert "demo-senior" in thief.page.locator(".who-am-i").inner_text()
    thief.page.get_by_role("button", name="로그아웃").press("Enter")
    thief.page.wait_for_url("**/review/login**")
    kim.complaints_expected = True  # Chromium says so of every 401
    kim.press("e")
    form = kim.page.locator(".finding.current details[data-key=e]")
    form.locator("[name=reason]").fill("고객이 먼저 물은 말")
    form.get_by_role("button", name="변경 저장").press("Enter")
    kim.wait("document.getElementById('said').textContent.includes('로그인이 필요합니다')")
    assert form.locator("[name=reason]").input_value() == "고객이 먼저 물은 말"
    other = kim.context.new_page()
    other.goto(f"{kim.site.base}/review")
    other.get_by_role("button", name="demo-senior").press("Enter")
    other.wait_for_url("**/review")
    form.get_by_role("button", name="변경 저장").press("Enter")
    kim.wait("document.getElementById('findings').textContent.includes('고객이 먼저 물은 말')")
