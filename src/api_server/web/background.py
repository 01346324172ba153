"""What the page does beside serving: words are made ready to be searched, and rubrics are tried."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from pydantic import ValidationError

from api_server.compliance.coverage import measure_coverage
from api_server.compliance.rubric import DEFAULT_RUBRIC, Rubric, RubricInvalid
from api_server.compliance.rubric_files import RubricFiles, source_of
from api_server.compliance.without_llm import judge_without_llm
from api_server.jobs.desk import NoStoreYet
from api_server.pii.redaction import RedactionFailed
from api_server.pipeline.result import CallResult
from api_server.store.errors import StoreUnavailable
from api_server.store.review_records import Unread
from api_server.store.rubric_records import RubricTrial, StoredRubric, TryOut
from api_server.store.search_records import SearchText
from api_server.web.desk import ReviewDesk
from api_server.web.searching import searchable
from stt_engine.errors import DeadlineExceeded, OutOfMemory, WorkerDied
from stt_engine.events import Stage
from stt_engine.outcome import Attempts

if TYPE_CHECKING:
    from api_server.store.store import Store

_SERVER = "server"
_LOOK_SEC, _DEFECT_SEC = 2.0, 30.0
_LOOK_ALL_SEC = 600.0
_AT_ONCE = 20
_OF_THE_TEXT = (RedactionFailed, DeadlineExceeded, OutOfMemory, WorkerDied)
"""What ends work on one text, and does so again the next time."""


@asynccontextmanager
async def working(desk: ReviewDesk) -> AsyncIterator[None]:
    """Do it as long as the server runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_for_ever, desk, "search", NewWords(desk).read)
        tasks.start_soon(_for_ever, desk, "rubric_trial", partial(try_next, desk))
        tasks.start_soon(_for_ever, desk, "rubric", KeptRubrics(desk).keep)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def _for_ever(desk: ReviewDesk, name: str, work: Callable[[], Awaitable[bool]]) -> None:
    """Do ``work`` again at once where it says that there is more; a defect in it is told."""
    while True:
        attempts, more = Attempts(Stage.JOB, desk.service.observers), False
        if desk.service.desk.is_open:
            with attempts.of(name), suppress(StoreUnavailable, NoStoreYet):
                more = await work()
        if not more:
            await anyio.sleep(_DEFECT_SEC if attempts.failures else _LOOK_SEC)


class KeptRubrics:
    """Keeps what the settings' rubric says: so it can be read when it is in force no more.

    Args:
        desk: the page's parts.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk
        self._known: Rubric | None = None

    async def keep(self) -> bool:
        """Keep it where it is a new one; one with a model of its own cannot be kept.

        Raises:
            StoreUnavailable: nobody can know.
        """
        service = self._desk.service
        rubric, run = service.validator.of_settings, service.desk.run
        if rubric is self._known:
            return False
        if await run(lambda store: store.rubrics.get(rubric.sha256)) is None:
            files = await to_thread.run_sync(
                source_of, service.settings.rubric_path or DEFAULT_RUBRIC
            )
            if files is not None and await to_thread.run_sync(_says, files, rubric):
                new = StoredRubric(rubric.sha256, rubric.version, files.to_json(), _SERVER)
                await run(lambda store: store.rubrics.add(new))
        self._known = rubric
        return False


def _says(files: RubricFiles, rubric: Rubric) -> bool:
    try:
        return files.load().sha256 == rubric.sha256
    except RubricInvalid:
        return False


class NewWords:
    """Has the words of new answers ready to be searched.

    Args:
        desk: the page's parts.
    """

    def __init__(self, desk: ReviewDesk) -> None:
        self._desk = desk
        self._known = -1
        self._looked_at = 0.0

    async def read(self) -> bool:
        """Read some where there may be any: after news, and now and then what others have left.

        Raises:
            StoreUnavailable: nobody can know.
        """
        news, now = self._desk.learned, time.monotonic()
        if news == self._known and now - self._looked_at < _LOOK_ALL_SEC:
            return False
        if await read_words(self._desk):
            return True
        self._known, self._looked_at = news, now
        return False


async def read_words(desk: ReviewDesk) -> bool:
    """Have the words of the newest answers ready to be searched; false where all are.

    Raises:
        StoreUnavailable: nobody can know.
    """
    run = desk.service.desk.run
    found = await run(lambda store: store.search.unread(_AT_ONCE))
    for one in found:
        await run(partial(_keep, text=await _words_of(desk, one)))
    return len(found) == _AT_ONCE


async def _words_of(desk: ReviewDesk, unread: Unread) -> SearchText:
    number = unread.revision.number
    try:
        result = await to_thread.run_sync(CallResult.from_json, unread.revision.answer)
    except ValidationError:
        return SearchText(unread.seq, number, "unread")
    try:
        masked = await desk.masked.segments(unread.seq, result)
    except _OF_THE_TEXT:
        return SearchText(unread.seq, number, "withheld")
    words, lines = await to_thread.run_sync(searchable, masked)
    return SearchText(unread.seq, number, "ready", words, lines)


async def try_next(desk: ReviewDesk) -> bool:
    """Go on with a trial that nobody works on; false where there is none.

    Raises:
        StoreUnavailable: nobody can know.
    """
    run = desk.service.desk.run
    trial = await run(lambda store: store.rubrics.claim_trial())
    if trial is None:
        return False
    sent = await run(lambda store: store.rubrics.get(trial.sha256))
    now = desk.service.validator.rubric
    try:
        rubric = await to_thread.run_sync(_load, sent, trial, now)
    except RubricInvalid as exc:
        words = str(exc)
        await run(lambda store: store.rubrics.end_trial(trial.seq, "failed", words))
        return True
    await _try(desk, trial, now, rubric)
    return True


def _load(sent: StoredRubric | None, trial: RubricTrial, now: Rubric) -> Rubric:
    """Return the rubric that is tried.

    Raises:
        RubricInvalid: it cannot be, beside the one that is in force now.
    """
    if sent is None or now.sha256 != trial.before_sha256:
        raise RubricInvalid("시험하는 동안 쓰는 점검표가 바뀌었습니다. 다시 시험하십시오")
    rubric = RubricFiles.from_json(sent.source).load()
    if rubric.sha256 != trial.sha256:
        raise RubricInvalid("이 프로그램의 내장 규칙이 보낼 때와 다릅니다. 다시 보내십시오")
    return rubric


async def _try(desk: ReviewDesk, trial: RubricTrial, before: Rubric, after: Rubric) -> None:
    """Judge one call after the other by both rubrics, behind every live call."""
    run, now = desk.service.desk.run, trial
    while now.done < now.total:
        found = await run(partial(_next_call, trial=now))
        if found is None:
            break
        while not desk.service.admission.quiet:
            if await run(partial(_note, known=now)) is None:
                return
            await anyio.sleep(_LOOK_SEC)
        noted = await run(partial(_note, known=now, tried=await _tried(desk, found, before, after)))
        if noted is None:
            return
        now = noted
    await run(lambda store: store.rubrics.end_trial(trial.seq, "done"))


async def _tried(desk: ReviewDesk, unread: Unread, before: Rubric, after: Rubric) -> TryOut:
    try:
        result = await to_thread.run_sync(CallResult.from_json, unread.revision.answer)
    except ValidationError:
        return TryOut(unread.seq, failed=True)
    transcript = result.recognition.value
    coverage = measure_coverage(transcript, desk.service.settings.stt_agent_channel)
    try:
        old, new = [
            await judge_without_llm(desk.service.text, one, transcript.segments, coverage)
            for one in (before, after)
        ]
    except _OF_THE_TEXT:
        return TryOut(unread.seq, failed=True)
    return TryOut(unread.seq, differences_of(old, new))


def differences_of(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Return the elements on which two judgements differ; ``None``: it is not in that one."""
    both = {**before, **after}
    pairs = [(one, before.get(one), after.get(one)) for one in both]
    return tuple(pair for pair in pairs if pair[1] != pair[2])


def _keep(store: Store, text: SearchText) -> bool:
    return store.search.keep(text)


def _next_call(store: Store, trial: RubricTrial) -> Unread | None:
    return store.rubrics.next_call(trial)


def _note(store: Store, known: RubricTrial, tried: TryOut | None = None) -> RubricTrial | None:
    return store.rubrics.note_tried(known, tried)
