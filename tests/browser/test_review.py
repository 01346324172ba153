"""What a reviewer does, by keyboard, in a real browser."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import AXE, Enter, Person

pytestmark = pytest.mark.timeout(180)

WAITING = ".finding.waits"
STANDING = ".finding.current .standing"


def current(person: Person) -> str:
    return str(person.ask("document.querySelector('.finding.current').dataset.element"))


def text_of(person: Person, element: str) -> str:
    return str(person.ask(f"document.getElementById('f-{element}').textContent"))


def until_said(person: Person, element: str, words: str) -> None:
    person.wait(f"document.getElementById('f-{element}').textContent.includes({words!r})")


def test_a_morning_by_keyboard_and_a_second_person(enter: Enter) -> None:
    kim = enter()
    kim.page.get_by_role("button", name="다음 통화 검토").press("Enter")
    kim.page.wait_for_url("**/review/cases/*")
    address = kim.page.url
    kim.until_prepared()

    kim.press("n")
    kim.wait("document.getElementById('audio').currentTime > 0")
    kim.wait("document.querySelector('.sentences .playing') !== null")
    first = current(kim)
    assert kim.ask("document.querySelectorAll('mark.current').length") > 0
    kim.press(" ")
    kim.wait("document.getElementById('audio').paused")
    at = kim.ask("document.getElementById('audio').currentTime")
    kim.press("l")
    kim.wait(f"document.getElementById('audio').currentTime > {at} + 2")
    kim.press("j", "j")
    kim.wait(f"document.getElementById('audio').currentTime < {at}")

    kim.press("a")
    until_said(kim, first, "두 번째 확인 대기")
    second = current(kim)
    assert second != first
    kim.press("r", "1")
    until_said(kim, second, "→ 없음")  # of its history: the reasons stand on the card before
    third = current(kim)
    kim.press("e")
    kim.page.locator(f"[id='f-{third}'] select[name=status]").select_option("not_applicable")
    kim.page.locator(f"[id='f-{third}'] details[data-key=e] [name=reason]").fill("상품이 다름")
    kim.page.locator(f"[id='f-{third}']").get_by_role("button", name="변경 저장").press("Enter")
    until_said(kim, third, "상품이 다름")

    kim.press("u")  # of what was decided last, though the next one is before its reader
    until_said(kim, third, "첫 검토 대기")
    kim.ask(f"document.querySelector(`[id='f-{first}'] [data-play]`).click()")
    kim.wait(f"document.querySelector('.finding.current').dataset.element === '{first}'")
    kim.press("u")
    until_said(kim, first, "첫 검토 대기")
    kim.press("a")
    until_said(kim, first, "두 번째 확인 대기")

    lee = enter("demo-reviewer-2")
    lee.page.get_by_role("button", name="다음 통화 검토").press("Enter")
    lee.page.wait_for_url("**/review/cases/*")
    assert lee.page.url != address, "two people have the same call"
    kim.page.get_by_role("button", name="미루고 다음").press("Enter")
    kim.page.wait_for_url(lambda url: url != address)
    lee.page.goto(address)
    lee.page.locator(f"[id='f-{first}'] [data-key=a]").press("Enter")
    until_said(lee, first, "demo-reviewer-2")
    assert lee.ask(f"document.querySelector(`[id='f-{first}'] .standing`).textContent") == "확정"
    assert "demo-reviewer-1" in text_of(lee, first)


def test_following_stops_when_the_reader_scrolls_and_clicking_begins_before(enter: Enter) -> None:
    kim = enter(viewport={"width": 1280, "height": 700})
    kim.open("keys.wav", "?t=60")
    kim.until_prepared()
    kim.wait("document.getElementById('audio').currentTime === 60")
    pressed = "document.getElementById('follow').getAttribute('aria-pressed')"
    assert kim.ask(pressed) == "true"
    kim.page.locator("#transcript").hover()
    kim.page.mouse.wheel(0, 200)
    kim.wait(f"{pressed} === 'false'")
    sentence = kim.page.locator(".sentences li").nth(4)
    start = float(sentence.get_attribute("data-start") or 0)
    sentence.locator("p").click()
    kim.wait(f"Math.abs(document.getElementById('audio').currentTime - {start - 0.5}) < 0.4")
    assert kim.ask(pressed) == "true"


def test_found_words_lead_to_their_second(enter: Enter) -> None:
    kim = enter()
    kim.page.get_by_role("link", name="찾기", exact=True).click()
    kim.page.get_by_label("찾을 말").fill("설명서에다 나와")
    kim.page.keyboard.press("Enter")
    found = kim.page.locator(".hits .time").first
    assert kim.page.locator(".hits mark").first.inner_text() == "설명서에 다 나와"
    at = float((found.get_attribute("href") or "").rpartition("t=")[2])
    assert at > 1
    found.click()
    kim.page.wait_for_url("**/review/cases/*")
    kim.until_prepared()
    kim.wait(f"Math.abs(document.getElementById('audio').currentTime - {at}) < 0.1")


def test_a_changed_rubric_is_tried_while_one_looks(enter: Enter, tmp_path: Path) -> None:
    kim = enter("demo-senior", bypass_csp=True)
    kim.page.goto(f"{kim.site.base}/review/rubric")
    with kim.page.expect_download() as download:
        kim.page.get_by_role("link", name="점검표 파일").click()
    text = download.value.path().read_text("utf-8")
    assert "[[elements]]" in text
    changed = tmp_path / "changed.toml"
    without_model = re.sub("^model = .*$", "", text, flags=re.MULTILINE)
    changed.write_text(without_model.replace("fcpa-", "tried-"), "utf-8")
    kim.page.get_by_label("점검표 파일(TOML)").set_input_files(changed)
    kim.page.get_by_role("button", name="확인하고 시험 시작").press("Enter")
    kim.page.wait_for_url("**/rubric/trials/*")
    kim.page.locator("#job table").first.wait_for(timeout=120_000)  # grows by itself
    kim.page.get_by_role("button", name="중단").press("Enter")
    kim.page.wait_for_selector("#job [data-ended]", timeout=30_000)
    assert "이행" in kim.page.locator("#job table").first.inner_text()
    kim.ask(AXE.read_text("utf-8"))
    assert kim.ask("axe.run(document, {resultTypes: ['violations']})")["violations"] == []


def test_one_channel_can_be_muted_or_heard_alone(enter: Enter) -> None:
    kim = enter()
    kim.open("keys.wav")
    kim.until_prepared()
    assert kim.ask("document.querySelector('.lane canvas').width") > 100
    for what in ("mute", "solo"):
        button = kim.page.locator(f"[data-{what}='1']")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        kim.press("k")
        kim.wait("document.getElementById('audio').currentTime > 0.2")
        kim.press("k")


def test_keys_can_be_switched_off_and_korean_letters_are_keys(enter: Enter) -> None:
    kim = enter()
    kim.open("keys.wav")
    kim.press("?")
    kim.page.get_by_label("한 글자 단축키 사용").uncheck()
    kim.press("Escape", "n")
    assert kim.ask("document.querySelector('.finding.current')") is None
    kim.page.reload()
    kim.press("n")
    assert kim.ask("document.querySelector('.finding.current')") is None
    kim.page.locator("#help-button").click()
    kim.page.get_by_label("한 글자 단축키 사용").check()
    kim.press("Escape")
    kim.ask("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'ㅜ', bubbles: true}))")
    assert kim.ask("document.querySelector('.finding.current') !== null")


def test_hostile_words_run_nothing_and_stay_in_their_place(enter: Enter) -> None:
    kim = enter(viewport={"width": 390, "height": 800})
    kim.open("<script>document.body.dataset.pwned=1</script>")
    kim.wait("document.querySelectorAll('.sentences li').length === 5")
    assert kim.ask("document.body.dataset.pwned") is None
    assert kim.ask("document.querySelectorAll('.sentences img, .sentences script').length") == 0
    assert kim.ask("document.documentElement.scrollWidth") <= 390
    words = "document.querySelectorAll('.sentences p')[4].textContent.length"
    assert kim.ask(words) == 1_000_000


def test_a_long_call_is_read_from_its_beginning_and_found_at_its_end(enter: Enter) -> None:
    kim = enter()
    kim.open("long.wav", "?t=285")
    kim.wait("document.querySelectorAll('.sentences li').length === 400")
    assert kim.ask("document.getElementById('sentences').hasAttribute('aria-busy')") is False
    assert kim.ask("document.getElementById('rest')") is None
    late = "document.getElementById('s395').getBoundingClientRect()"
    kim.wait(f"{late}.top > 0 && {late}.bottom < innerHeight")


def test_numbers_are_shown_and_taken_away(enter: Enter) -> None:
    kim = enter()
    kim.page.get_by_role("link", name="통계").press("Enter")
    kim.page.wait_for_url("**/review/numbers")
    kim.page.get_by_label("묶기").select_option("week")
    kim.page.get_by_role("button", name="보기", exact=True).press("Enter")
    kim.page.wait_for_url("**/review/numbers?by=week**")
    for name, begin in (("이 표 XLSX", b"PK"), ("찾은 것 하나하나 XLSX", b"PK")):
        with kim.page.expect_download() as download:
            kim.page.get_by_role("link", name=name).click()
        assert Path(download.value.path()).read_bytes()[:2] == begin


def test_what_is_folded_is_printed(enter: Enter) -> None:
    kim = enter()
    kim.open("degraded.wav")
    kim.page.emulate_media(media="print")
    kim.ask("dispatchEvent(new Event('beforeprint'))")
    shown = "document.querySelector('details.others .finding').checkVisibility()"
    assert kim.ask(shown) is True
    for what in (".bar", ".player", ".decide", ".call-actions"):
        assert kim.ask(f"document.querySelector('{what}').checkVisibility()") is False, what
    kim.ask("dispatchEvent(new Event('afterprint'))")
    assert kim.ask(shown) is False


PAGES = (
    "/review",
    "/review?agent=A-17",
    "/review/numbers",
    "/review/numbers?by=week",
    "/review/upload",
    "/review/health",
    "/review/search?q=원금",
    "/review/rubric",
    "degraded.wav",
    "clean.wav",
    "clean.wav/revisions",
)


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(320, "light"), (320, "dark"), (1440, "light"), (1440, "dark"), (3840, "light")],
)
def test_every_page_is_accessible_and_fits(enter: Enter, scheme: Any, width: int) -> None:
    kim = enter(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    for place in PAGES:
        if place.startswith("/"):
            kim.page.goto(kim.site.base + place)
        else:
            name, _, rest = place.partition("/")
            kim.open(name, f"/{rest}" if rest else "")
            if not rest:
                kim.until_prepared()
            kim.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        kim.ask(AXE.read_text("utf-8"))
        found = kim.ask("axe.run(document, {resultTypes: ['violations']})")["violations"]
        told = [(one["id"], [node["html"][:120] for node in one["nodes"][:2]]) for one in found]
        assert told == [], place
        assert kim.ask("document.documentElement.scrollWidth") <= width, place


def test_the_login_is_accessible(enter: Enter) -> None:
    kim = enter(bypass_csp=True)
    kim.page.get_by_role("button", name="로그아웃").click()
    kim.page.wait_for_url("**/login?out=1")
    kim.ask(AXE.read_text("utf-8"))
    assert kim.ask("axe.run(document)")["violations"] == []


def test_axe_is_the_file_that_its_note_says() -> None:
    digest = hashlib.sha256(AXE.read_bytes()).hexdigest()
    assert digest in (AXE.parent / "README.md").read_text("utf-8")
