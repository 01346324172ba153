"""Work on callers' text in a child process: too slow, too large, killed, given up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import anyio
import psutil
import pytest
from anyio import to_thread

from api_server.clients.agent.errors import AgentTimeout
from api_server.compliance import text_worker
from api_server.compliance.findings import Reason
from api_server.compliance.llm_review import ReviewLimits
from api_server.compliance.request_body import BodyRejected, BodyTooLong
from api_server.compliance.rubric import DEFAULT_RUBRIC, load_rubric
from api_server.compliance.text_tasks import Closed, GivenCall, ReadCall
from api_server.compliance.text_worker import PREPARE, TextInChild, TextOptions
from api_server.compliance.validator import IncompleteElementsValidator, ValidationResult
from stt_engine.errors import (
    DeadlineExceeded,
    OutOfMemory,
    WorkerCrashLoop,
    WorkerDied,
    WorkerError,
)
from stt_engine.speech import Segment
from stt_engine.workers.process import WorkerLimits
from tests.support.server import awaited
from tests.unit.validation_fakes import CALL, CONFIG, FakeAgent, answer, of

RUBRIC = load_rubric("sales_process")
OPTIONS = TextOptions(RUBRIC, mask=True, mask_evidence=False, chunk_chars=6000)
LONG = "일 이 삼 사 " * 20_000
GIVEN = GivenCall(ReadCall.of(LONG), "n")


@pytest.fixture(scope="module")
def text() -> Iterator[TextInChild]:
    found = TextInChild(OPTIONS, limits=WorkerLimits(memory_mb=1024))
    yield found
    found.stop()


@pytest.fixture
async def impatient(text: TextInChild, monkeypatch: pytest.MonkeyPatch) -> TextInChild:
    """The same, once it runs, with a tenth of a second for any text."""
    await text.begin()
    monkeypatch.setattr(text_worker, "BASE_SEC", 0.1)
    monkeypatch.setattr(text_worker, "CHARS_PER_SEC", 1e9)
    return text


async def checked(text: TextInChild, call: str | tuple[Segment, ...]) -> ValidationResult:
    agent = FakeAgent(answer([element.id for element in RUBRIC.asked]))
    validator = IncompleteElementsValidator(agent, RUBRIC, (), text, limits=ReviewLimits())
    result = await validator.validate(call, CONFIG)
    assert result["is_agent_dummy"] == (agent.requests == [])
    return result


async def test_a_call_is_checked(text: TextInChild) -> None:
    assert (await checked(text, CALL))["chunks"] == 1
    masked = await text.mask((Segment(0, 0.0, 1.0, "제 번호는 010-1234-5678입니다."),))
    assert masked.segments[0].text == "제 번호는 ***-****-****입니다."
    assert masked.counts == {"phone": 1}


async def test_past_the_deadline_nothing_is_sent_or_said(impatient: TextInChild) -> None:
    before = impatient.worker.pid
    result = await checked(impatient, LONG)
    assert (result["error_type"], result["is_agent_dummy"]) == ("DeadlineExceeded", True)
    assert {one["status"] for one in result["elements"]} == {"undetermined"}
    assert {one["reason"] for one in result["elements"]} == {"text_timeout"}
    assert not psutil.pid_exists(before or 0)


async def test_texts_that_end_their_child_make_no_other_caller_wait(text: TextInChild) -> None:
    for _ in range(4):
        with pytest.raises(DeadlineExceeded):
            await text._queued("prepare", lambda: PREPARE.takes.dump_json(GIVEN), -49_000)
    assert (await text.mask(())).counts == {}


async def test_a_child_that_cannot_live_is_started_less_and_less_often() -> None:
    text = TextInChild(OPTIONS, limits=WorkerLimits(memory_mb=16))
    try:
        for error in (WorkerDied, WorkerCrashLoop):
            with pytest.raises(error):
                await text.mask(())
    finally:
        text.stop()


async def test_words_are_not_opened_between_tasks(text: TextInChild) -> None:
    body = {"segments": [{"text": "원금 보장", "words": [], "speaker": "agent"}, {"text": "네"}]}
    read = await text.read(json.dumps(body).encode())
    assert isinstance(read.call.transcript, Closed)
    assert (read.call.utterances, read.call.chars, read.call.timed) == (2, 6, True)
    call = await text.run(PREPARE, GivenCall(read.call, "n"), read.call.chars)
    assert isinstance(call.text, Closed)
    assert (call.utterances, call.nobodys, call.chars) == (2, 1, 6)


async def test_a_child_killed_once_costs_no_text(text: TextInChild) -> None:
    await text.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(to_thread.run_sync, _kill_once_busy, text, 1)
        found = await text.run(PREPARE, GIVEN, len(LONG))
    assert found.chars == len(LONG.strip())


async def test_a_child_killed_again_is_named(text: TextInChild) -> None:
    await text.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(to_thread.run_sync, _kill_once_busy, text, 2)
        with pytest.raises(WorkerDied):
            await text.run(PREPARE, GIVEN, len(LONG))
    assert (await text.mask(())).counts == {}


def _kill_once_busy(text: TextInChild, times: int) -> None:
    killed: set[int | None] = set()
    while len(killed) < times:
        awaited(
            lambda: text.worker.state == "busy" and text.worker.pid not in killed,
            "a child works",
        )
        killed.add(text.worker.pid)
        psutil.Process(text.worker.pid).kill()


async def test_a_caller_who_leaves_is_forgotten(text: TextInChild) -> None:
    await text.begin()
    with anyio.move_on_after(0.05) as left:
        await text.run(PREPARE, GivenCall(ReadCall.of(LONG[:20_000]), "n"), 20_000)
    assert left.cancelled_caught
    assert (await text.mask(())).counts == {}


async def test_memory_has_a_ceiling() -> None:
    text = TextInChild(OPTIONS, limits=WorkerLimits(memory_mb=512))
    try:
        with pytest.raises((OutOfMemory, WorkerError)):
            await text.read(b'{"segments": [' + b'{"a":[0]},' * 1_500_000 + b"{}]}")
        assert (await text.mask(())).counts == {}
    finally:
        text.stop()


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (b'{"segments": [' + b"{}," * 60_000 + b"{}]}", BodyTooLong, "ANALYZE_MAX_SEGMENTS"),
        (json.dumps({"text": "a\r" * 20_001}).encode(), BodyTooLong, "20001 turns"),
        (json.dumps({"text": "a" * 500_001}).encode(), BodyTooLong, "ANALYZE_MAX_CHARS"),
        (
            json.dumps({"text": "a", **{f"x{n}": 1 for n in range(60)}}).encode(),
            BodyRejected,
            "and 55 more errors",
        ),
        (json.dumps({f"x{n}": 1 for n in range(65)}).encode(), BodyTooLong, "64 fields"),
        (
            json.dumps({"segments": [{"text": "", "words": [{f"x{n}": 1 for n in range(65)}]}]}),
            BodyTooLong,
            "64 fields",
        ),
        (
            '{"segments": [{"text": "", "words": [{}, {}]}]}',
            BodyRejected,
            "words.0.word: .*words.0.probability: Field required$",
        ),
        ("[" * 100_000, BodyRejected, "nested too deeply"),
        ("[]", BodyRejected, "body: "),
        (b'{"segments": [{}, {}]}', BodyRejected, "segments.0.text: Field required$"),
        (b'{"text": "\xff"}', BodyRejected, "no UTF-8"),
        (b"1" * 5000, BodyRejected, "no JSON"),
    ],
)
async def test_a_body_that_is_refused_names_its_limit(
    body: bytes | str, error: type[Exception], words: str, text: TextInChild
) -> None:
    with pytest.raises(error, match=words) as found:
        await text.read(body if isinstance(body, bytes) else body.encode())
    assert len(str(found.value)) < 1000


async def test_a_model_that_changed_on_disk_takes_no_more_than_the_rules(tmp_path: Path) -> None:
    """An upgrade in place, and then the child's end: calls are masked and sent as before."""
    for file in (resources.files("api_server") / "rubrics").iterdir():
        if file.name.startswith(DEFAULT_RUBRIC):
            shutil.copy(str(file), tmp_path)
    rubric = load_rubric(tmp_path / f"{DEFAULT_RUBRIC}.toml")
    model = tmp_path / f"{DEFAULT_RUBRIC}.model"
    whole = model.read_bytes()
    text = TextInChild(replace(OPTIONS, rubric=rubric), limits=WorkerLimits(memory_mb=1024))
    try:
        for spoilt in (whole + b"\n", whole[: len(whole) // 2], None):
            model.unlink() if spoilt is None else model.write_bytes(spoilt)
            agent = FakeAgent(AgentTimeout(5))
            validator = IncompleteElementsValidator(agent, rubric, (), text, limits=ReviewLimits())
            outcome = await validator.check("상담원: 원금은 보장됩니다", CONFIG)
            assert agent.requests, "it is sent to the LLM all the same"
            reasons = {one.reason for one in outcome.value.elements}
            assert reasons == {Reason.TEXT_FAILED}
            assert "RubricModelInvalid" in {one.error_type for one in outcome.failures}
        model.write_bytes(whole)
        result = await validator.validate("상담원: 원금은 보장됩니다", CONFIG)
        assert of(result, "solicitation.certainty")["status"] == "violated"
    finally:
        text.stop()
