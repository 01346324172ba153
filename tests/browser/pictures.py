"""The pictures of the page: ``PYTHONPATH=.cache/browser python -m tests.browser.pictures``.

It takes Chromium (`CHROMIUM`), a Korean font, and what `make test-web` has installed. Calls and
people in them are made up.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from api_server.pipeline.result import CallResult
from api_server.store.recordings import RecordingFolder
from tests.browser.conftest import PAGE, open_store
from tests.support.reviewed import (
    add_case,
    clean_result,
    sample_call,
    sample_result,
    two_channel_wav,
)
from tests.support.server import api_server

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
CALLS = (
    ("2026-11-30 ELS 상담 0412.wav", "김서연", "ELS", False),
    ("2026-11-30 펀드 상담 0397.wav", "이도윤", "펀드", True),
    ("2026-11-27 ELS 상담 0388.wav", "박하준", "ELS", False),
    ("2026-11-26 보험 상담 0371.wav", "김서연", "변액보험", False),
    ("2026-11-24 ELS 상담 0352.wav", "이도윤", "ELS", True),
)
MONO, CLEAN = "2026-11-23 모노 녹음 0340.wav", "2026-11-23 예금 만기 안내 0333.wav"


def by_voice() -> CallResult:
    """Return the sample call on one channel, with roles that voices gave."""
    words = tuple(
        replace(one, channel=0, speaker_source="diarisation", voice=int(one.speaker == "customer"))
        for one in sample_call()
    )
    return replace(sample_result(words), check=sample_result().check)


def put_calls(folder: Path) -> dict[str, str]:
    """Put the calls into a store; return their ids by name."""
    store, recordings = open_store(folder), RecordingFolder(folder / "recordings", 10**10, 0)
    wav = two_channel_wav(sample_result().recognition.value.duration)
    found = {}
    for name, agent, product, degraded in CALLS:
        about = json.dumps({"agent": agent, "product": product}, ensure_ascii=False)
        result = sample_result(degraded=degraded)
        found[name] = add_case(store, recordings, name, result, wav, about)
    mono = two_channel_wav(sample_result().recognition.value.duration, channels=1)
    found[MONO] = add_case(store, recordings, MONO, by_voice(), mono)
    found[CLEAN] = add_case(store, recordings, CLEAN, clean_result(), wav)
    store.close()
    return found


@contextmanager
def person(
    browser: Browser, base: str, name: str, size: ViewportSize, *, phone: bool = False
) -> Iterator[Page]:
    """Let somebody in with a browser of their own."""
    scale = 2 if phone else 1
    context = browser.new_context(
        locale="ko-KR", viewport=size, device_scale_factor=scale, is_mobile=phone
    )
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{base}/review")
    page.get_by_role("button", name=name).click()
    page.wait_for_url("**/review")
    yield page
    context.close()


def decide(page: Page, *keys: str) -> None:
    """Decide the next finding by keys, and wait until it is."""
    left = page.locator(".finding[data-mine]").count()
    page.keyboard.press("n")
    for key in keys:
        page.keyboard.press(key)
    while page.locator(".finding[data-mine]").count() == left:
        page.wait_for_timeout(20)


def until_drawn(page: Page) -> None:
    """Wait until the lanes are drawn."""
    while page.evaluate("document.getElementById('sound-state').textContent"):
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)


def take(page: Page, name: str) -> None:
    """Take a picture of what is seen."""
    page.screenshot(path=str(PICTURES / name), type="jpeg", quality=82)


def main() -> int:
    """Take all of them."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    switches = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        cases = put_calls(Path(name))
        first, second, third = (cases[one[0]] for one in CALLS[:3])
        browser = playwright.chromium.launch(executable_path=program, args=switches)
        # Leases that end at once: each person of the pictures decides on the same calls.
        settings = {**PAGE, "review_lease_min": 0.001}
        with api_server(Path(name), ready=False, **settings) as server:
            url = f"{server.base}/review/cases"
            with person(browser, server.base, "demo-reviewer-1", DESK) as kim:
                kim.goto(f"{url}/{second}")
                for keys in (("a",), ("r", "1"), ("a",)):
                    decide(kim, *keys)
                kim.goto(f"{url}/{third}")
                decide(kim, "a")
                decide(kim, "a")
            with person(browser, server.base, "demo-reviewer-2", DESK) as lee:
                for one in (second, third):
                    lee.goto(f"{url}/{one}")
                    decide(lee, "a")
                    decide(lee, "a")
                lee.goto(f"{url}/{first}")
                until_drawn(lee)
                lee.keyboard.press("n")
                lee.wait_for_timeout(1500)
                lee.keyboard.press(" ")
                lee.wait_for_timeout(300)
                take(lee, "review-call.jpg")
                lee.goto(f"{url}/{cases[MONO]}")
                until_drawn(lee)
                lee.keyboard.press("s")
                lee.wait_for_url("**#")
                lee.locator("#roles-swapped").wait_for()
                until_drawn(lee)
                take(lee, "review-swapped.jpg")
                lee.goto(f"{server.base}/review")
                lee.wait_for_timeout(200)
                take(lee, "review-queue.jpg")
                lee.goto(f"{server.base}/review/numbers")
                take(lee, "review-numbers.jpg")
            with person(browser, server.base, "demo-senior", PHONE, phone=True) as han:
                han.goto(f"{url}/{second}")
                until_drawn(han)
                take(han, "review-phone.jpg")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
