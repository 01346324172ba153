"""Two answers of one call beside each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api_server.pipeline.render.answers import transcribe_response
from api_server.pipeline.result import CallResult
from api_server.store.revisions import add_revision
from api_server.store.store import Store
from api_server.web.comparison import Answer, compare
from stt_engine.speech import Segment
from tests.support.reviewed import clean_result, sample_result
from tests.web.conftest import Page


def answer(number: int, result: CallResult, shown: tuple[Segment, ...] | None) -> Answer:
    return Answer(number, 0.0, transcribe_response(result, "case"), shown)


def segments(*texts: str) -> tuple[Segment, ...]:
    return tuple(Segment(n, n * 2.0, n * 2.0 + 1, text, 0, "agent") for n, text in enumerate(texts))


def test_only_what_differs_is_beside_each_other() -> None:
    before = answer(1, clean_result(), segments("가", "나", "다", "라"))
    after = answer(2, sample_result(), segments("가", "나나", "새것", "다"))
    both = compare(before, after)
    texts = [(one and one.text, other and other.text) for one, other in both.lines]
    assert (texts, both.same) == ([("나", "나나"), (None, "새것"), ("라", None)], 2)
    changed = [one for one in both.findings if one.changed]
    assert both.findings[: len(changed)] == tuple(changed)
    (certain,) = (one for one in changed if one.title == "단정적 판단 제공")
    assert certain.before is not None
    assert certain.after is not None
    assert (certain.before[1], certain.after[1]) == ("good", "bad")


def test_another_speaker_is_a_difference_and_what_is_withheld_is_said() -> None:
    same = segments("가", "나")
    other = (same[0], replace(same[1], speaker="customer"))
    both = compare(answer(1, clean_result(), same), answer(2, clean_result(), other))
    assert (len(both.lines), both.same, both.withheld) == (1, 1, False)
    assert compare(answer(1, clean_result(), None), answer(2, clean_result(), same)).withheld


@pytest.mark.timeout(60)
def test_ten_thousand_sentences_that_repeat_each_other_are_compared() -> None:
    many = segments(*["네, 맞습니다."] * 10_000)
    both = compare(answer(1, clean_result(), many), answer(2, clean_result(), many[:-1]))
    assert both.same + len(both.lines) >= 9_999


async def test_the_page_shows_the_last_two_masked(page: Page) -> None:
    case = await page.add("repaired.wav", clean_result())
    who = await page.person()
    url = f"/review/cases/{case}/revisions"
    assert (await who.get(url)).status_code == 404
    first = sample_result().recognition.value.segments
    told = (replace(first[0], text="제 번호는 900101-1234568 입니다."), *first[1:])
    again = sample_result(revision=2)
    recognition = replace(again.recognition, value=replace(again.recognition.value, segments=told))
    answer = replace(again, recognition=recognition).to_json().decode()

    def repair(store: Store) -> None:
        seq = store.reviews.get(case).case.seq
        with store._database.write() as connection:
            add_revision(connection, seq, answer, 2e9)

    await page.app.service.desk.run(repair)
    assert f"{url}" in (await who.get(f"/review/cases/{case}")).text
    html = (await who.get(url)).text
    assert "단정적 판단 제공" in html
    assert "제 번호는" in html
    assert "1234568" not in html
    assert "같은 문장" in html
    swapped = (await who.get(f"{url}?a=2&b=1")).text
    assert swapped.index("답 2") < swapped.index("답 1")
    for wrong in ("?a=1&b=9", "?a=0", "?a=x"):
        assert (await who.get(url + wrong)).status_code in {400, 404}, wrong
