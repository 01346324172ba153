"""Agent and customer that voices gave can be exchanged by a person, as a decision that is kept."""

from __future__ import annotations

from dataclasses import replace

from tests.support.reviewed import sample_call, sample_result
from tests.web.conftest import Decide, Page


def by_voice() -> tuple:  # type: ignore[type-arg]
    return tuple(
        replace(one, speaker_source="diarisation", voice=int(one.speaker == "customer"))
        for one in sample_call()
    )


async def test_a_swap_is_kept_and_marks_what_was_judged_before(page: Page, decide: Decide) -> None:
    case = await page.add("mono.wav", sample_result(by_voice()))
    kim = await page.person()
    before = (await kim.get(f"/review/cases/{case}")).text
    assert "swap-roles" in before
    assert "roles-swapped" not in before
    path, form = f"/review/cases/{case}/decisions", {"action": "swap_roles", "revision": 1}
    answer = await kim.post(path, data=form)
    assert answer.status_code == 303
    after = (await kim.get(f"/review/cases/{case}")).text
    assert "roles-swapped" in after
    for one, other in (("agent", "customer"), ("customer", "agent")):
        assert after.count(f'" class="{one}" data-start') == before.count(
            f'" class="{other}" data-start'
        )
    assert before.count('" class="agent" data-start') != after.count('" class="agent" data-start')
    stale = await decide(kim, case, "", "swap_roles")
    assert stale.status_code == 409
    (swap,) = (await page.app.service.desk.run(lambda store: store.reviews.get(case))).decisions
    assert (swap.action, swap.element, swap.actor) == ("swap_roles", "", "demo-reviewer-1")
    assert (await decide(kim, case, "", "swap_roles", seen=swap.seq)).status_code == 200
    assert "roles-swapped" not in (await kim.get(f"/review/cases/{case}")).text


async def test_what_channels_show_is_not_swapped(page: Page, decide: Decide) -> None:
    case = await page.add("stereo.wav", sample_result())
    kim = await page.person()
    assert "swap-roles" not in (await kim.get(f"/review/cases/{case}")).text
    assert (await decide(kim, case, "", "swap_roles")).status_code == 400
    assert (await decide(kim, case, "solicitation.certainty", "swap_roles")).status_code == 400
