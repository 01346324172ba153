"""The rubric on the page: read, tried on past calls, in force by two people, taken back."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx2
import pytest

from api_server.compliance.rubric import DEFAULT_RUBRIC, RubricInvalid, load_rubric
from api_server.compliance.rubric_files import RubricFiles, source_of
from api_server.container import Service
from api_server.settings import Settings
from api_server.store import audit_log
from api_server.store.store import Store
from api_server.web.passwords import hash_password
from api_server.web.rubric_view import changed_elements
from tests.support.in_process import running
from tests.support.reviewed import sample_result
from tests.web.conftest import WITHOUT_MODEL, Page

PASSWORD = "correct horse battery"
PEOPLE = {"kim": "senior", "lee": "admin", "han": "reviewer"}
RUBRIC = """
version = "{version}"
effective_from = 2026-11-30
title = "작은 점검표"
disclaimer = "시험"
{more}

[[elements]]
id = "a.recording"
article = "제1조"
title = "녹음 고지"
kind = "required"
counts = "녹음을 알림"
examples = ["지금 통화는 녹음되고 있습니다"]
[[elements.rules]]
says = ["{says}"]
"""
OLD = RUBRIC.format(version="old-1", more="", says="녹음되고")
NEW = RUBRIC.format(version="new-<b>1</b>", more="", says="전혀없는말")


def test_files_say_what_the_loader_says_and_name_only_what_comes_with_it() -> None:
    files = source_of(DEFAULT_RUBRIC)
    assert files is not None
    built_in = load_rubric()
    assert files.load() == built_in
    assert RubricFiles.from_json(files.to_json()).load().sha256 == built_in.sha256
    assert RubricFiles(files.rubric).load() == built_in, "rules that are built in can be named"
    changed = RubricFiles(files.rubric.replace("본인 확인", "본인 확인만", 1)).load()
    assert changed.sha256 != built_in.sha256
    (one,) = changed_elements(built_in, changed)
    assert [name for name, _ in one.fields] == ["해당하지 않는 말"]
    assert one.shown[0][1:] == ("본인 확인", "본인 확인만")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('rules = "../../etc/passwd"', "경로 없는 파일 이름"),
        ('model = "/etc/passwd"', "경로 없는 파일 이름"),
        ('model = "my.model"', "함께 오는 모델이 아닙니다"),
        ('rules = "mine.toml"', "읽을 수 없습니다"),
        ("x = 1", "모르는 이름"),
        ("[", "TOML 문법 오류"),
    ],
)
def test_a_rubric_that_cannot_be_used_says_why(line: str, why: str) -> None:
    text = RUBRIC.format(version="1", more=line, says="x")
    with pytest.raises(RubricInvalid, match=why) as refused:
        RubricFiles(text).load()
    assert "/stt-rubric-" not in str(refused.value)


@pytest.fixture(scope="module")
async def ruled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    kept = tmp_path_factory.mktemp("rubric")
    (kept / "old.toml").write_text(OLD, "utf-8")
    where = {"database_url": f"sqlite:///{kept}/cases.db", "rubric_path": kept / "old.toml"}
    async with running(**{**WITHOUT_MODEL, **where}) as found:

        def people(store: Store) -> None:
            for name, role in PEOPLE.items():
                store.accounts.add(name, role, hash_password(PASSWORD))  # type: ignore[arg-type]

        await found.service.desk.run(people, make=True)
        yield Page(found)


async def person(page: Page, name: str) -> httpx2.AsyncClient:
    who = page.client()
    answer = await who.post("/review/login", data={"name": name, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return who


def sent(text: str, **form: str) -> dict[str, object]:
    return {"files": {"rubric": ("new.toml", text.encode())}, "data": {"calls": "100", **form}}


async def test_it_is_read_with_its_examples(ruled: Page) -> None:
    who = await person(ruled, "han")
    html = (await who.get("/review/rubric")).text
    sha256 = ruled.app.service.validator.rubric.sha256
    assert "지금 통화는 녹음되고 있습니다" in html
    assert sha256[:12] in html
    assert "시험 시작" not in html, "a reviewer only reads"
    assert (await who.get("/review/rubric/files/rubric")).text == OLD
    assert (await who.get("/review/rubric/files/rules")).status_code == 404
    assert (await who.get(f"/review/rubric/versions/{sha256}")).status_code == 200
    assert (await who.get(f"/review/rubric/versions/{'0' * 64}")).status_code == 404
    for path in ("trials", "changes", "changes/1", "trials/1/stop"):
        answer = await who.post(f"/review/rubric/{path}", data={"action": "consent"})
        assert answer.status_code == 403


async def test_what_the_loader_refuses_is_refused_in_its_words(ruled: Page) -> None:
    who = await person(ruled, "kim")
    for text, why in ((OLD, "내용이 같습니다"), ("version =", "TOML 문법 오류"), ("", "version")):
        answer = await who.post("/review/rubric/trials", **sent(text))  # type: ignore[arg-type]
        assert (answer.status_code, why in answer.text) == (400, True)
    latin = {"files": {"rubric": ("x.toml", b"\xff\xfe")}, "data": {"calls": "100"}}
    assert "UTF-8" in (await who.post("/review/rubric/trials", **latin)).text  # type: ignore[arg-type]


async def ended(who: httpx2.AsyncClient, address: str) -> str:
    with anyio.fail_after(60):
        while "data-ended" not in (await who.get(address)).text:  # noqa: ASYNC110 - as the page does
            await anyio.sleep(0.05)
    return (await who.get(address)).text


async def test_a_changed_rubric_is_tried_then_used_by_two_people_then_taken_back(
    ruled: Page,
) -> None:
    service = ruled.app.service
    old = service.validator.rubric
    said = await ruled.add("said.wav", sample_result())
    await ruled.add("<i>silent</i>", sample_result(sample_result().recognition.value.segments[:1]))
    kim, lee = await person(ruled, "kim"), await person(ruled, "lee")

    begun = await kim.post("/review/rubric/trials", **sent(NEW))  # type: ignore[arg-type]
    address = begun.headers["location"]
    html = await ended(kim, address)
    assert "시험 끝" in html
    assert "LLM 없이 규칙과 모델로만" in html
    assert re.search(r"<b>1</b>\s*건의 통화에서 판정이 달라집니다", html)
    assert f'href="/review/cases/{said}"' in html
    assert "new-&lt;b&gt;1&lt;/b&gt;" in html
    assert [one for one in re.findall(r'class="chip (\w+)">([^<]+)<', html) if "이행" in one[1]]

    new = RubricFiles(NEW).load()
    proposed = {"sha256": new.sha256}
    assert (await kim.post("/review/rubric/changes", data=proposed)).status_code == 303
    number = re.search(r"/rubric/changes/(\d+)", (await lee.get("/review/rubric")).text)
    assert number is not None
    change = f"/review/rubric/changes/{number[1]}"
    alone = await kim.post(change, data={"action": "consent"})
    assert (alone.status_code, "다른 사람의 확인" in alone.text) == (409, True)
    assert service.validator.rubric is old
    async with another_process(ruled) as other:
        assert other.validator.rubric == old
        assert (await lee.post(change, data={"action": "consent"})).status_code == 303
        assert service.validator.rubric == new, "in force here at once"
        await other.desk.run(other.rubrics.look)
        assert other.validator.rubric == new
        html = (await lee.get("/review/rubric")).text
        assert re.search(r"제안 <bdi>kim</bdi>, 동의 <bdi>lee</bdi>", html)

        service.validator.refresh()  # SIGHUP reads the settings' file again
        assert service.validator.rubric == new
        assert (await kim.post("/review/rubric/changes", data={"sha256": ""})).status_code == 303
        back = f"/review/rubric/changes/{int(number[1]) + 1}"
        assert (await lee.post(back, data={"action": "consent"})).status_code == 303
        assert service.validator.rubric == old
        await other.desk.run(other.rubrics.look)
        assert other.validator.rubric == old
    again = await kim.post("/review/rubric/changes", data=proposed)
    assert again.status_code == 303, "it was in force before"
    third = f"/review/rubric/changes/{int(number[1]) + 2}"
    assert (await kim.post(third, data={"action": "withdraw"})).status_code == 303

    def facts(store: Store) -> list[tuple[str, dict[str, object]]]:
        with store._database.read() as connection:
            found = [one.entry for one in audit_log.entries(connection, "")]
        return [(one.actor, json.loads(one.facts)) for one in found if one.kind == "rubric_change"]

    told = await service.desk.run(facts)
    assert [(actor, one["what"]) for actor, one in told] == [
        ("kim", "tried"),
        *[("kim", "proposed"), ("lee", "used")] * 2,
        ("kim", "proposed"),
        ("kim", "withdrawn"),
    ]
    assert (told[2][1]["sha256"], told[2][1]["before"]) == (new.sha256, old.sha256)


@asynccontextmanager
async def another_process(page: Page) -> AsyncIterator[Service]:
    """Another server or worker of the same database, wired as each one is."""
    service = Service.of(page.app.service.settings)
    await service.desk.run(lambda store: store.backlog())
    yield service
    await service.aclose()


async def test_a_process_that_starts_judges_by_what_is_in_force(
    ruled: Page, tmp_path: Path
) -> None:
    """The store says it before the first work on it, in a worker too."""
    new = RubricFiles(NEW).load()
    kim, lee = await person(ruled, "kim"), await person(ruled, "lee")
    await kim.post("/review/rubric/changes", data={"sha256": new.sha256})
    html = (await lee.get("/review/rubric")).text
    number = re.search(r"/rubric/changes/(\d+)", html)
    assert number is not None
    await lee.post(f"/review/rubric/changes/{number[1]}", data={"action": "consent"})
    async with another_process(ruled) as other:
        assert other.validator.rubric == new
    missing = Settings(
        _env_file=None,
        stt_model_path="/nowhere",
        database_url=f"sqlite:///{tmp_path}/none.db",
        log_file=None,
    )  # type: ignore[call-arg]
    alone = Service.of(missing)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alone.rubrics.run, alone.desk)
        with anyio.fail_after(4):
            while alone.validator.until_known is None:
                await anyio.lowlevel.checkpoint()
            await alone.validator.until_known()
        tasks.cancel_scope.cancel()
    await alone.aclose()


async def test_an_answer_names_the_rubric_that_judged_it(ruled: Page) -> None:
    report = sample_result().check
    assert report is not None
    assert report.report is not None
    sha256 = report.report.value.rubric_sha256
    assert sha256 == load_rubric().sha256
    case = await ruled.add("judged.wav", sample_result())
    html = (await (await person(ruled, "han")).get(f"/review/cases/{case}")).text
    assert f'href="/review/rubric/versions/{sha256}"' in html
    assert "지금 점검표와 다른 판" in html
