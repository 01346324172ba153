"""What the handlers of the page share: the server's parts, and calls as a visitor sees them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from starlette.requests import Request

from api_server.clients.errors import LlmPostponed
from api_server.container import Service
from api_server.http.job_files import open_for_job
from api_server.jobs.desk import NoStoreYet
from api_server.models import TranscribeResponse
from api_server.pipeline.render.answers import transcribe_response
from api_server.pipeline.result import CallResult
from api_server.store.errors import StoreUnavailable
from api_server.store.records import Ending, Revision
from api_server.store.review_records import ReviewedCase, Unread, Visitor
from api_server.web.call_view import CallView, build_view
from api_server.web.comparison import Answer
from api_server.web.costly import Costly
from api_server.web.errors import NOT_FOUND, Refused
from api_server.web.facts import Reading, facts_of
from api_server.web.identity import Identity
from api_server.web.masking import MaskedCalls
from api_server.web.provider_login import ProviderLogin
from api_server.web.sound import Opened, Sound, Sounds, SoundUnavailable
from stt_engine.errors import AudioRejected, EngineError
from stt_engine.events import Stage
from stt_engine.model_store.places import data_home
from stt_engine.outcome import Attempts

if TYPE_CHECKING:
    from api_server.store.store import Store

_AT_ONCE, _REMEMBERED = 100, 8
_LOOK_SEC, _DEFECT_SEC = 2.0, 30.0
_LOOK_AGAIN_SEC, _SWEEP_SEC = 900.0, 60.0
_PLAYING_SEC = 20.0

NOT_KEPT = (
    "이 통화의 녹음은 보관되어 있지 않아 들을 수 없습니다. 글과 근거는 그대로 볼 수 있습니다.",
    "The recording of this call is not kept, so it cannot be played. Text and evidence are here.",
)
NOT_PLAYABLE = (
    "녹음을 재생할 수 있게 준비하지 못했습니다.",
    "The recording could not be prepared for listening.",
)


class ReviewDesk:
    """The page's parts.

    Args:
        service: the server.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        database = settings.database_file(data_home(settings.stt_home))
        self.service = service
        self.identity = Identity(service)
        self.provider = (
            ProviderLogin(settings, self.identity) if settings.review_oidc_issuer else None
        )
        self.masked = MaskedCalls(service.text)
        self.sounds = Sounds(
            None if settings.recordings_key_file else database.with_name("review-sounds"),
            settings.limits(),
            settings.review_cache_bytes,
            settings.recordings_reserve_bytes,
            service.observers,
        )
        self._answers: OrderedDict[tuple[int, int], tuple[CallResult, TranscribeResponse]]
        self._answers = OrderedDict()
        self._playing: dict[tuple[str, str], tuple[float, Sound]] = {}
        self._looks: dict[tuple[str, str], float] = {}
        # Who is named must not lie in the clear beside what is encrypted.
        sealed = settings.recordings_key_file is not None
        self.reading = Reading(
            None if sealed else settings.review_agent_key,
            None if sealed else settings.review_product_key,
            settings.review_sample_percent,
        )
        self.lease_sec = settings.review_lease_min * 60.0
        self.counts = Costly(lambda: service.desk.run(lambda store: store.reviews.count()))
        """How many cases are in which state; of a million, counting takes a second."""
        self.learned = 0
        """Answers that the queue has learnt here so far."""

    async def read_new(self) -> bool:
        """Have the queue know answers that it does not; false where there are no more.

        Raises:
            StoreUnavailable: nobody can know.
        """
        run = self.service.desk.run
        found = await run(lambda store: store.reviews.unread(_AT_ONCE), make=True)
        if found:
            facts = await to_thread.run_sync(lambda: [facts_of(one, self.reading) for one in found])
            await run(lambda store: store.reviews.learn(facts))
            self.learned += len(found)
        return len(found) == _AT_ONCE

    async def watch(self) -> None:
        """Read new answers for ever, from when the store is open on."""
        while True:
            attempts, more = Attempts(Stage.JOB, self.service.observers), False
            if self.service.desk.is_open:
                # A defect here is told, and ends neither the page nor the server.
                with attempts.of("review"), suppress(StoreUnavailable, NoStoreYet):
                    more = await self.read_new()
            if not more:
                await anyio.sleep(_DEFECT_SEC if attempts.failures else _LOOK_SEC)

    async def sweep(self) -> None:
        """Remove, for ever, what could be played of recordings that are kept no more."""
        while True:
            await anyio.sleep(_SWEEP_SEC)
            attempts = Attempts(Stage.JOB, self.service.observers)
            if self.service.desk.is_open:
                with attempts.of("review"), suppress(StoreUnavailable, NoStoreYet):
                    await self.drop_sounds()

    async def drop_sounds(self) -> None:
        """Remove what could be played of recordings that are kept no more.

        Raises:
            StoreUnavailable: nobody can know which.
        """
        names = await to_thread.run_sync(self.sounds.names)
        gone = await self.service.desk.run(partial(_sounds_to_drop, names=names))
        await to_thread.run_sync(self.sounds.drop, gone)

    async def record(self, identity: str) -> ReviewedCase:
        """Return a case.

        Raises:
            NoSuchCase: there is none.
            StoreUnavailable: nobody can know.
        """
        get = partial(_get, identity=identity)
        found = await self.service.desk.run(get, make=True)
        if found.is_readable and not found.known:
            case = found.case
            latest = Unread(
                case.seq, found.revisions[-1], case.id, case.received_at, found.metadata
            )
            facts = await to_thread.run_sync(facts_of, latest, self.reading)
            await self.service.desk.run(lambda store: store.reviews.learn([facts]))
            self.learned += 1
            found = await self.service.desk.run(get)
        return found

    async def view(self, record: ReviewedCase, visitor: Visitor) -> CallView:
        """Return a case with an answer as ``visitor`` sees it.

        Raises:
            Refused: it has none.
        """
        if not record.is_readable:
            raise NOT_FOUND
        result, answer = await self._answer(record)
        try:
            shown = await self.masked.segments(record.case.seq, result)
        except EngineError:
            shown = None
        plain = result.recognition.value.segments
        rubric = self.service.validator.rubric
        cause = result.check_cause
        build = partial(
            build_view,
            record,
            answer,
            plain,
            shown,
            rubric,
            visitor,
            llm_waits=cause is not None and cause.error_type == LlmPostponed.error_type,
        )
        return await to_thread.run_sync(build)

    async def judged_with_other_roles(self, record: ReviewedCase) -> Ending:
        """Return the next answer of a case, with agent and customer exchanged."""
        result, _ = await self._answer(record)
        case, number = record.case, record.revisions[-1].number
        before = replace(result, revision=number)
        return await self.service.roles.judge(case.id, case.name, record.options, before)

    async def answer(self, record: ReviewedCase, number: int) -> Answer:
        """Return one of a case's answers, masked.

        Raises:
            Refused: it cannot be read.
        """
        (revision,) = (one for one in record.revisions if one.number == number)
        try:
            read = partial(_read_revision, revision, record.case.id)
            result, response = await to_thread.run_sync(read)
        except ValueError:
            raise NOT_FOUND from None
        try:
            shown = await self.masked.segments(record.case.seq, result)
        except EngineError:
            shown = None
        return Answer(number, revision.made_at, response, shown)

    async def _answer(self, record: ReviewedCase) -> tuple[CallResult, TranscribeResponse]:
        """Return the latest answer; the last few are remembered, for who decides asks again."""
        key = record.case.seq, record.revisions[-1].number
        if key not in self._answers:
            self._answers[key] = await to_thread.run_sync(_read, record)
            while len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]

    async def sound(self, record: ReviewedCase) -> Sound:
        """Return what of a case can be played.

        Raises:
            Refused: nothing, and why.
        """
        try:
            return await self.sounds.get(*self._source(record))
        except AudioRejected:
            raise Refused(404, NOT_KEPT) from None
        except (EngineError, SoundUnavailable) as exc:
            why = f" ({exc})"
            raise Refused(503, (NOT_PLAYABLE[0] + why, NOT_PLAYABLE[1] + why)) from exc

    def playing(self, case: str, visitor: Visitor) -> Sound | None:
        """Return what this person has just begun to listen to, without asking for it again.

        A jump in a call is one request and more: each of them would read the whole case.
        """
        at, sound = self._playing.get((visitor.name, case), (0.0, None))
        fresh = time.monotonic() - at < _PLAYING_SEC
        return sound if fresh and sound is not None and sound.wav.is_file() else None

    def note_playing(self, case: str, visitor: Visitor, sound: Sound) -> None:
        """Have :meth:`playing` know what this person listens to."""
        now = time.monotonic()
        self._playing = {one: s for one, s in self._playing.items() if now - s[0] < _PLAYING_SEC}
        self._playing[visitor.name, case] = now, sound

    async def note_look(self, record: ReviewedCase, visitor: Visitor) -> None:
        """Have the log say that somebody listens, once in a while: sound is not masked.

        Raises:
            StoreUnavailable: it cannot, and nothing is to be heard.
        """
        key, now = (visitor.name, record.case.id), time.monotonic()
        if now - self._looks.get(key, -_LOOK_AGAIN_SEC) < _LOOK_AGAIN_SEC:
            return
        note = partial(_note_look, case=record.case.id, actor=visitor.name)
        await self.service.desk.run(note)
        self._looks = {one: at for one, at in self._looks.items() if now - at < _LOOK_AGAIN_SEC}
        self._looks[key] = now

    async def note_clip(
        self, record: ReviewedCase, visitor: Visitor, start: float, end: float
    ) -> None:
        """Have the log say that somebody takes a part of a recording away; times in seconds.

        Raises:
            StoreUnavailable: it cannot, and nothing is to be taken.
        """
        facts = {"what": "clip", "from": round(start, 2), "to": round(end, 2)}
        await self.service.desk.run(
            lambda store: store.ledger.record("look", record.case.id, visitor.name, facts)
        )

    def _source(self, record: ReviewedCase) -> tuple[str, Opened]:
        case = record.case
        if case.recording is not None:
            return f"r-{case.recording}", partial(self.service.desk.recording, case.recording)
        if record.path is not None:
            opened = partial(open_for_job, self.service.storage, record.path, case.name)
            return f"c-{case.id}", opened
        raise Refused(404, NOT_KEPT)


def desk_of(request: Request) -> ReviewDesk:
    """Return the page's parts."""
    found: ReviewDesk = request.app.state.review
    return found


@asynccontextmanager
async def watching(desk: ReviewDesk) -> AsyncIterator[None]:
    """Read new answers as long as the server runs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.watch)
        tasks.start_soon(desk.sweep)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            if desk.provider is not None:
                await desk.provider.aclose()
            await to_thread.run_sync(desk.sounds.close)


def _get(store: Store, identity: str) -> ReviewedCase:
    return store.reviews.get(identity)


def _note_look(store: Store, case: str, actor: str) -> None:
    store.ledger.record("look", case, actor, {"what": "recording"})


def _sounds_to_drop(store: Store, names: Collection[str]) -> set[str]:
    return store.reviews.without_sound(names)


def _read(record: ReviewedCase) -> tuple[CallResult, TranscribeResponse]:
    return _read_revision(record.revisions[-1], record.case.id)


def _read_revision(revision: Revision, case: str) -> tuple[CallResult, TranscribeResponse]:
    result = CallResult.from_json(revision.answer)
    return result, transcribe_response(result, case)
