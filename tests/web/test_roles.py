"""Agent and customer that voices gave can be exchanged by a person: the call is judged again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest
from sqlalchemy import update

from api_server.jobs.options import JobOptions
from api_server.pipeline.analysis import AgentConfig
from api_server.pipeline.result import CallResult
from api_server.store.records import ToRepair
from api_server.store.repairs import open_repair
from api_server.store.schema import REPAIRS
from api_server.store.store import Store
from tests.support.fault_server import FaultServer
from tests.support.in_process import running
from tests.support.reviewed import CERTAIN, sample_call, sample_result
from tests.support.scripted_llm import honest
from tests.web.conftest import WITHOUT_MODEL, Decide, Page

CERTAINTY = "solicitation.certainty"


@pytest.fixture(scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page beside an LLM that works."""
    kept = tmp_path_factory.mktemp("roles")
    async with FaultServer(honest) as llm:
        given = {
            "database_url": f"sqlite:///{kept}/cases.db",
            "vllm_api_url": f"http://127.0.0.1:{llm.port}/v1",
            "agent_proof_sec": 0.5,
        }
        async with running(**WITHOUT_MODEL, **given) as found:
            yield Page(found)


def by_voice(*, wrong: bool = False) -> CallResult:
    """The sample call on one channel; ``wrong``: voices were taken for each other's."""
    other = {"agent": "customer", "customer": "agent"} if wrong else {}
    found = sample_result(
        tuple(
            replace(
                one,
                channel=0,
                speaker=other.get(one.speaker or "", one.speaker),
                speaker_source="diarisation",
                voice=int(one.speaker == "customer"),
            )
            for one in sample_call()
        )
    )
    return replace(found, check=sample_result().check)


def status_of(result: CallResult, element: str) -> tuple[str, list[str]]:
    assert result.check is not None
    assert result.check.report is not None
    (found,) = (one for one in result.check.report.value.elements if one.element.id == element)
    return found.status, [one.quote for one in found.evidence]


async def answers(page: Page, case: str) -> list[CallResult]:
    record = await page.app.service.desk.run(lambda store: store.reviews.get(case))
    return [CallResult.from_json(one.answer) for one in record.revisions]


async def test_a_swap_makes_an_answer_that_is_judged_with_the_other_roles(
    page: Page, decide: Decide
) -> None:
    case = await page.add("mono.wav", by_voice(wrong=True))
    kim = await page.person()
    before = (await kim.get(f"/review/cases/{case}")).text
    assert "swap-roles" in before
    assert "roles-swapped" not in before
    path, form = f"/review/cases/{case}/decisions", {"action": "swap_roles", "revision": 1}
    assert (await kim.post(path, data=form)).status_code == 303
    after = (await kim.get(f"/review/cases/{case}")).text
    for one, other in (("agent", "customer"), ("customer", "agent")):
        assert after.count(f'" class="{one}" data-start') == before.count(
            f'" class="{other}" data-start'
        )
    assert "다시 판정한 답입니다 (답 2, <bdi>demo-reviewer-1</bdi>)" in after
    assert "규칙만으로 판정했습니다" in after
    assert "LLM 판정 대기" in after
    assert "점검 실패" not in after
    first, second = await answers(page, case)
    assert first == by_voice(wrong=True)
    status, quotes = status_of(second, CERTAINTY)
    assert (status, CERTAIN in quotes[0]) == ("violated", True)
    assert second.revision == 2
    assert second.missing == ("agent",)
    assert second.check_cause is not None
    assert second.check_cause.error_type == "LlmPostponed"
    record = await page.app.service.desk.run(lambda store: store.reviews.get(case))
    (swap,) = record.decisions
    assert (swap.action, swap.element, swap.actor) == ("swap_roles", "", "demo-reviewer-1")
    assert (await decide(kim, case, "", "swap_roles")).status_code == 409
    assert (await decide(kim, case, "", "swap_roles", revision=2)).status_code == 200
    assert (
        "처음대로 되돌려 다시 판정한 답입니다 (답 3"
        in (await kim.get(f"/review/cases/{case}")).text
    )
    third = (await answers(page, case))[2]
    assert third.recognition == first.recognition
    assert status_of(third, CERTAINTY)[0] != "violated", "a customer's words accused the agent"


async def test_the_llm_judges_the_swapped_call_as_a_repair(page: Page, decide: Decide) -> None:
    agent = AgentConfig(page.app.service.settings.agent_url)
    options = JobOptions(agent=agent).to_json()
    case = await page.add("later.wav", by_voice(wrong=True), options=options)
    kim = await page.person()
    await kim.get(f"/review/cases/{case}")
    assert (await decide(kim, case, "", "swap_roles")).status_code == 200
    with anyio.fail_after(30):
        while len(found := await answers(page, case)) < 3:  # noqa: ASYNC110 - another room's work
            await anyio.sleep(0.1)
    assert [one.missing for one in found] == [(), ("agent",), ()]
    assert found[2].recognition == found[1].recognition, "the roles that a person gave are kept"
    shown = (await kim.get(f"/review/cases/{case}")).text
    assert "규칙과 LLM 분석기가 판정했습니다" in shown


async def test_what_a_repair_has_in_hand_is_not_stored_over_a_swap(
    page: Page, decide: Decide
) -> None:
    case = await page.add("raced.wav", by_voice())
    run = page.app.service.desk.run
    record = await run(lambda store: store.reviews.get(case))
    agent = AgentConfig(page.app.service.settings.agent_url)
    waits = await page.app.service.roles.judge(
        case, "raced.wav", JobOptions(agent=agent).to_json(), by_voice()
    )
    in_hand = ToRepair(
        record.case.seq, case, record.case.job, "", None, None, "{}", (), "", 1, "", "held", 0
    )

    def hold(store: Store) -> None:
        """Have a repair of the first answer be at work."""
        assert waits.repair is not None
        with store._database.write() as connection:
            open_repair(connection, record.case.seq, waits.repair, 0.0)
            lease = {"token": "held", "lease_until": 1e12}
            connection.execute(update(REPAIRS).values(**lease))

    await run(hold)
    kim = await page.person()
    await kim.get(f"/review/cases/{case}")
    assert (await decide(kim, case, "", "swap_roles")).status_code == 200
    assert not await run(lambda store: store.revise(in_hand, waits))
    assert len(await answers(page, case)) == 2


async def test_what_channels_show_is_not_swapped(page: Page, decide: Decide) -> None:
    case = await page.add("stereo.wav", sample_result())
    kim = await page.person()
    assert "swap-roles" not in (await kim.get(f"/review/cases/{case}")).text
    assert (await decide(kim, case, "", "swap_roles")).status_code == 400
    assert (await decide(kim, case, CERTAINTY, "swap_roles")).status_code == 400
