"""A short morning in Firefox, by keyboard alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Site
from tests.browser.firefox import ENTER, firefox, firefox_program

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        firefox_program() is None, reason="no Firefox is here: apt-get install firefox-esr"
    ),
]


def test_a_call_is_heard_and_decided_in_firefox(site: Site, tmp_path: Path) -> None:
    with firefox(tmp_path / "profile") as fox:
        fox.open(f"{site.base}/review")
        fox.focus_by_tab("demo-senior")
        fox.press(ENTER)
        fox.wait("location.pathname === '/review'")
        fox.open(f"{site.base}/review/cases/{site.cases['firefox.wav']}")
        fox.wait("document.getElementById('sound-state').textContent === ''")
        assert fox.ask("return document.querySelector('.lane canvas').width") > 100
        fox.press("n")
        fox.wait("document.getElementById('audio').currentTime > 0.2")
        fox.wait("document.querySelector('.sentences .playing') !== null")
        first = fox.ask("return document.querySelector('.finding.current').dataset.element")
        fox.press(" ")
        fox.wait("document.getElementById('audio').paused")
        at = fox.ask("return document.getElementById('audio').currentTime")
        fox.press("l")
        fox.wait(f"document.getElementById('audio').currentTime > {at} + 2")
        fox.press("a")
        fox.wait(f"document.getElementById('f-{first}').textContent.includes('두 번째 확인 대기')")
        second = fox.ask("return document.querySelector('.finding.current').dataset.element")
        assert second != first
        fox.press("r", "1")
        fox.wait(f"document.getElementById('f-{second}').textContent.includes('→ 없음')")
        fox.press("?")
        fox.wait("document.getElementById('help').open")
        assert fox.ask("return document.documentElement.scrollWidth <= innerWidth")
