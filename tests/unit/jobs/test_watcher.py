"""Watched folders: a file that stays as it is becomes a case once; nothing in them changes."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api_server.jobs.desk import JobDesk
from api_server.jobs.events import (
    FileTaken,
    FileUnreadable,
    FolderAnswers,
    FolderFailing,
    SidecarUnusable,
)
from api_server.jobs.options import JobOptions
from api_server.jobs.watcher import FolderWatcher, WatchTerms
from api_server.store.records import CaseRecord, Ending, JobRecord, NewCase, NewJob
from stt_engine.errors import AudioUnreadable, StorageUnresponsive
from stt_engine.events import Event
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at

SETTLE_SEC = 10.0
SEOUL = '{"지점": "서울", "상품": "ELS"}'


class House:
    """One watcher over a folder, and the store that it fills."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        pattern: str = "*",
        table: str | None = None,
        sidecar_sec: float = 0.0,
    ) -> None:
        self.folder = path / "calls"
        self.folder.mkdir(exist_ok=True)
        self.events: list[Event] = []
        self.clock = clock
        self.desk = JobDesk(path / "cases.db", folder_at(path), [self.events.append])
        terms = WatchTerms(
            pattern,
            SETTLE_SEC,
            1.0,
            JobOptions("auto"),
            masks_names=True,
            table=table,
            sidecar_sec=sidecar_sec,
        )
        observers = [self.events.append]
        self.watcher = FolderWatcher(
            1, self.folder, self.desk, terms, lambda: None, observers, clock
        )

    def put(self, name: str, content: bytes = b"sound") -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    async def settle(self) -> None:
        """Look, let time pass, and look again."""
        await self.watcher.look()
        self.clock.now += SETTLE_SEC
        await self.watcher.look()

    async def cases(self) -> list[CaseRecord]:
        return await self.desk.run(lambda store: store.list_cases(None, 100, None), make=True)

    async def jobs(self) -> list[JobRecord]:
        return await self.desk.run(lambda store: store.list_jobs(None, 100, None), make=True)

    async def job(self, identity: str) -> JobRecord:
        return await self.desk.run(lambda store: store.get_job(identity, None))

    def taken(self) -> list[tuple[str, bool]]:
        found = [one for one in self.events if isinstance(one, FileTaken)]
        return [(Path(one.name).name, one.known) for one in found]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000.0)


@pytest.fixture
async def house(tmp_path: Path, clock: Clock) -> AsyncIterator[House]:
    found = House(tmp_path, clock)
    yield found
    found.desk.close()


async def test_a_file_is_taken_once_it_stays_as_it_is(house: House) -> None:
    path = house.put("a.wav", b"half")
    await house.watcher.look()
    assert house.taken() == []
    path.write_bytes(b"half and half")
    house.clock.now += SETTLE_SEC
    await house.watcher.look()
    assert house.taken() == [], "it has grown: it has to stay anew"
    house.clock.now += SETTLE_SEC
    await house.watcher.look()
    await house.settle()
    (case,) = await house.cases()
    assert (case.name, case.bytes, case.state) == (str(path), 13, "queued")
    assert path.read_bytes() == b"half and half"
    (job,) = await house.jobs()
    assert JobOptions.from_json(job.options) == JobOptions("auto")


async def test_a_file_that_is_renamed_into_place_is_taken_under_its_name(house: House) -> None:
    part = house.put("a.wav.part")
    await house.settle()
    part.rename(house.folder / "a.wav")
    await house.settle()
    assert house.taken() == [("a.wav", False)]


async def test_times_of_other_clocks_mean_nothing(house: House) -> None:
    for name, when in (("past.wav", 1.0), ("future.wav", 4e9)):
        os.utime(house.put(name, name.encode()), (when, when))
    await house.settle()
    assert len(await house.cases()) == 2


async def test_a_content_is_taken_once_whatever_its_name(house: House) -> None:
    house.put("a.wav")
    await house.settle()
    house.put("deep/b.wav")
    await house.settle()
    await house.settle()
    assert house.taken() == [("a.wav", False), ("b.wav", True)]
    assert len(await house.cases()) == 1


async def test_other_content_of_the_same_name_is_another_case(house: House) -> None:
    house.put("a.wav", b"one")
    await house.settle()
    house.put("a.wav", b"other")
    await house.settle()
    assert len(await house.cases()) == 2


async def test_after_a_restart_nothing_is_taken_again(
    house: House, tmp_path: Path, clock: Clock
) -> None:
    house.put("a.wav")
    await house.settle()
    house.desk.close()
    again = House(tmp_path, clock)
    await again.settle()
    assert again.taken() == []
    assert len(await again.cases()) == 1
    again.desk.close()


async def test_what_is_no_recording_is_left_alone(house: House, tmp_path: Path) -> None:
    for name in ("a.json", ".hidden.wav", "b.tmp", ".deep/c.wav"):
        house.put(name, name.encode())
    (tmp_path / "elsewhere.wav").write_bytes(b"not here")
    (house.folder / "link.wav").symlink_to(tmp_path / "elsewhere.wav")
    (house.folder / "links").symlink_to(tmp_path)
    await house.settle()
    assert house.taken() == []


async def test_only_names_of_the_pattern_are_taken(tmp_path: Path, clock: Clock) -> None:
    found = House(tmp_path, clock, "*.wav")
    found.put("a.wav")
    found.put("a.mp3", b"other")
    await found.settle()
    assert found.taken() == [("a.wav", False)]
    found.desk.close()


@pytest.mark.parametrize(
    ("sidecar", "content", "metadata"),
    [
        ("a.wav.json", b'{"agent": 7}', '{"agent": 7}'),
        ("a.json", '\ufeff{"지점": "서울"}'.encode(), '{"지점": "서울"}'),
        ("a.json", b"[1]", '{"sidecar": "invalid"}'),
        ("a.json", b'{"a": "' + b"x" * 20_000 + b'"}', '{"sidecar": "invalid"}'),
        ("a.json", b"\xff\xfe", '{"sidecar": "invalid"}'),
        ("b.json", b'{"a": 1}', "{}"),
        ("a.wav.csv", "지점,상품\r\n서울,ELS\r\n".encode("utf-8-sig"), SEOUL),
        ("a.csv", "지점,상품\n서울,ELS\n".encode(), SEOUL),
        ("a.csv", "지점,상품\n서울,ELS".encode("cp949"), SEOUL),
        ("b.csv", b"a\n1\n", "{}"),
        ("A.CSV", b"a\n1\n", "{}"),
    ],
)
async def test_what_stands_beside_it_is_its_metadata(
    house: House, sidecar: str, content: bytes, metadata: str
) -> None:
    house.put("a.wav")
    house.put(sidecar, content)
    await house.settle()
    (job,) = await house.jobs()
    assert job.metadata == metadata


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a,b\n", "0 rows"),
        (b"a\n1\n2\n", "2 rows"),
        (b"a,b\n1\n", "1 cells"),
        (b"a,a\n1,2\n", "name of another"),
        (b"a,\n1,2\n", "no name"),
        (b'a\n"1', "line 2"),
        (b"a\n\xff\xff\n", "neither UTF-8 nor CP949"),
        ("이름\n짠짢".encode("cp949")[5:] + b"\n1", "may be UTF-8 or CP949"),
        (b"a\n" + b"x" * 20_000, "more than"),
    ],
)
async def test_a_broken_table_is_named_and_the_call_is_taken(
    house: House, content: bytes, reason: str
) -> None:
    house.put("a.wav")
    house.put("a.csv", content)
    await house.settle()
    (job,) = await house.jobs()
    assert job.metadata == '{"sidecar": "invalid"}'
    (told,) = [one for one in house.events if isinstance(one, SidecarUnusable)]
    assert told.name.endswith("a.csv")
    assert reason in told.reason


async def test_one_table_is_about_a_folder(tmp_path: Path, clock: Clock) -> None:
    house = House(tmp_path, clock, table="calls.csv")
    table = "파일,지점\r\na.wav,서울\r\nb.wav,부산\r\nc.wav,대구\r\nc.wav,광주\r\n"
    house.put("calls.csv", table.encode("cp949"))
    for name in ("a.wav", "b.wav", "c.wav", "d.wav"):
        house.put(name, name.encode())
    house.put("b.json", b'{"own": true}')
    await house.settle()
    metadata = {
        Path(one.name).name: (await house.job(one.job)).metadata for one in await house.cases()
    }
    assert metadata == {
        "a.wav": '{"지점": "서울"}',
        "b.wav": '{"own": true}',
        "c.wav": '{"sidecar": "invalid"}',
        "d.wav": "{}",
    }
    house.desk.close()


async def test_a_file_that_changes_while_it_is_read_waits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = house.put("a.wav")
    await house.watcher.look()
    house.clock.now += SETTLE_SEC
    really = os.fstat

    def grown(descriptor: int) -> os.stat_result:
        with path.open("ab") as content:
            content.write(b"more")
        return really(descriptor)

    monkeypatch.setattr("api_server.jobs.watcher.os.fstat", grown)
    await house.watcher.look()
    monkeypatch.undo()
    assert house.taken() == []
    await house.settle()
    assert house.taken() == [("a.wav", False)]


async def test_one_that_cannot_be_read_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("a.wav", b"a")
    house.put("b.wav", b"b")
    really = Path.open

    def refused(path: Path, *given: Any, **named: Any) -> Any:
        if path.name == "a.wav":
            raise PermissionError(13, "Permission denied")
        return really(path, *given, **named)

    monkeypatch.setattr(Path, "open", refused)
    await house.settle()
    assert house.taken() == [("b.wav", False)]
    assert [one for one in house.events if isinstance(one, FileUnreadable)]
    monkeypatch.undo()
    await house.settle()
    assert len(await house.cases()) == 2


async def test_a_folder_that_is_gone_is_looked_for_again(house: House) -> None:
    house.folder.rename(house.folder.with_name("away"))
    with pytest.raises(OSError, match="calls"):
        await house.watcher.look()
    house.folder.with_name("away").rename(house.folder)
    house.put("a.wav")
    await house.settle()
    assert len(await house.cases()) == 1


async def test_a_folder_that_does_not_answer_is_told_and_waited_for_no_longer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading  # noqa: PLC0415

    answers = threading.Event()
    monkeypatch.setattr(
        "api_server.jobs.folder_listing.os.scandir", lambda _folder: answers.wait(30) and None
    )
    monkeypatch.setattr(house.watcher.place._threads, "timeout_sec", 0.05)
    with pytest.raises(StorageUnresponsive):
        await house.watcher.look()
    assert house.watcher.place.state != "ok"
    answers.set()


async def test_a_name_that_is_no_text_is_taken_and_read_back(house: House) -> None:
    """As old Windows wrote it: one such name must hold up no other."""
    path = house.put(os.fsdecode("통화.wav".encode("cp949")), b"korean")
    house.put("a.wav", b"a")
    await house.settle()
    names = {Path(one.name).name for one in await house.cases()}
    assert names == {"통화.wav", "a.wav"}
    (claimed,) = [
        one
        for one in await house.desk.run(lambda store: store.claim(30.0, 5))
        if one.name.endswith("통화.wav")
    ]
    assert claimed.path == str(path)
    await house.settle()
    assert len(house.taken()) == 2, "it is known under its own name"


async def test_letters_in_parts_are_the_same_letters(tmp_path: Path, clock: Clock) -> None:
    """A Mac's share has 'é' as two letters, and its table or sidecar as one, or the reverse."""
    house = House(tmp_path, clock, table="calls.csv")
    parts, whole = (unicodedata.normalize(form, "통화") for form in ("NFD", "NFC"))
    house.put(f"{parts}.wav", b"1")
    house.put(f"{whole}.json", b'{"beside": true}')
    house.put(f"{parts}2.wav", b"2")
    house.put("calls.csv", f"file,branch\n{whole}2.wav,7\n".encode("utf-8-sig"))
    await house.settle()
    assert sorted([one.metadata for one in await house.jobs()]) == [
        '{"beside": true}',
        '{"branch": "7"}',
    ]
    house.desk.close()


async def test_a_folder_that_may_not_be_read_hides_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("closed/a.wav", b"a")
    house.put("open/b.wav", b"b")
    really = os.scandir

    def refused(folder: str) -> Any:
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return really(folder)

    monkeypatch.setattr("api_server.jobs.folder_listing.os.scandir", refused)
    await house.settle()
    await house.settle()
    assert house.taken() == [("b.wav", False)]
    told = [one for one in house.events if isinstance(one, FileUnreadable)]
    assert [Path(one.name).name for one in told] == ["closed"], "told once, not at every look"
    assert house.watcher.unreadable == 1
    monkeypatch.undo()
    await house.settle()
    assert (len(house.taken()), house.watcher.unreadable) == (2, 0)


async def test_a_folder_that_is_gone_is_told_until_it_is_back(house: House) -> None:
    away = house.folder.with_name("away")
    house.folder.rename(away)
    for _ in range(3):
        with pytest.raises(OSError, match="calls"):
            await house.watcher.look()
    assert house.watcher.trouble.reason == "No such file or directory"
    assert house.watcher.trouble.since is not None
    away.rename(house.folder)
    await house.watcher.look()
    assert house.watcher.trouble.reason is None
    told = [one for one in house.events if isinstance(one, (FolderFailing, FolderAnswers))]
    assert [type(one) for one in told] == [FolderFailing, FolderAnswers]


async def test_what_was_away_when_its_turn_came_is_queued_again(house: House) -> None:
    """A share that goes and comes loses no call."""
    path = house.put("a.wav")
    await house.settle()
    (claimed,) = await house.desk.run(lambda store: store.claim(30.0, 5))
    path.rename(house.folder.with_name("away.wav"))
    gone = Ending("refused", error_type="FileNotFoundError", error="no such file")
    await house.desk.run(lambda store: store.finish(claimed, gone))
    house.clock.now += 100.0
    await house.watcher.look()
    assert [one.state for one in await house.cases()] == ["refused"]
    house.folder.with_name("away.wav").rename(path)
    house.clock.now += 100.0
    await house.watcher.look()
    assert [one.state for one in await house.cases()] == ["queued"]
    (again,) = await house.desk.run(lambda store: store.claim(30.0, 5))
    await house.desk.run(lambda store: store.finish(again, gone))
    house.clock.now += 100.0
    await house.watcher.look()
    assert [one.state for one in await house.cases()] == ["refused"], "a worker without the share"


async def test_what_was_overwritten_before_its_turn_is_not_read_as_what_it_was(
    house: House,
) -> None:
    path = house.put("a.wav", b"first call")
    await house.settle()
    (first,) = await house.desk.run(lambda store: store.claim(30.0, 5))

    @asynccontextmanager
    async def opener(file: str, _name: str) -> AsyncIterator[Path]:
        yield Path(file)

    async with house.desk.opened(first, opener) as found:
        assert found.read_bytes() == b"first call"
    os.utime(path, (1.0, 1.0))  # a share whose clock was set: the same content
    async with house.desk.opened(first, opener):
        pass
    path.write_bytes(b"other call")
    with pytest.raises(AudioUnreadable, match="overwritten"):
        async with house.desk.opened(first, opener):
            pass
    await house.settle()
    with pytest.raises(AudioUnreadable, match="overwritten"):
        async with house.desk.opened(first, opener):
            pass
    (second,) = await house.desk.run(lambda store: store.claim(30.0, 5))
    async with house.desk.opened(second, opener) as found:
        assert found.read_bytes() == b"other call"


async def test_a_file_that_somebody_names_is_what_it_is_now(house: House) -> None:
    """A watched folder has taken it too: that is another case."""
    path = house.put("a.wav", b"first call")
    await house.settle()
    case = NewCase("a.wav", path=str(path), bytes=10)
    named = NewJob("", JobOptions("ko").to_json(), "{}", 0, (case,), "0" * 64)
    job, _ = await house.desk.run(lambda store: store.submit(named))
    path.write_bytes(b"other call")
    claimed = await house.desk.run(lambda store: store.claim(30.0, 5))
    (ours,) = [one for one in claimed if one.job == job]

    @asynccontextmanager
    async def opener(file: str, _name: str) -> AsyncIterator[Path]:
        yield Path(file)

    async with house.desk.opened(ours, opener) as found:
        assert found.read_bytes() == b"other call"


async def test_a_sidecar_that_still_grows_is_waited_for(house: House) -> None:
    house.put("a.wav")
    half = house.put("a.json", b'{"agent"')
    await house.watcher.look()
    house.clock.now += SETTLE_SEC
    half.write_bytes(b'{"agent": 7}')
    await house.watcher.look()
    assert house.taken() == []
    house.clock.now += SETTLE_SEC
    await house.watcher.look()
    assert [one.metadata for one in await house.jobs()] == ['{"agent": 7}']


async def test_a_file_waits_for_its_sidecar_as_long_as_it_is_told_to(
    tmp_path: Path, clock: Clock
) -> None:
    house = House(tmp_path, clock, sidecar_sec=60.0)
    house.put("late.wav", b"1")
    house.put("never.wav", b"2")
    await house.settle()
    assert house.taken() == []
    house.put("late.json", b'{"agent": 7}')
    clock.now += 35.0
    await house.settle()
    assert [one.metadata for one in await house.jobs()] == ['{"agent": 7}']
    clock.now += 15.0
    await house.settle()
    assert house.taken() == [("late.wav", False), ("never.wav", False)]
    house.put("never.json", b'{"agent": 8}')
    await house.settle()
    await house.settle()
    (told,) = [one for one in house.events if isinstance(one, SidecarUnusable)]
    assert told.name.endswith("never.json")
    assert "after the recording had been taken" in told.reason
    house.desk.close()


async def test_capital_letters_are_no_other_pattern(tmp_path: Path, clock: Clock) -> None:
    house = House(tmp_path, clock, "*.wav")
    house.put("CALL.WAV")
    await house.settle()
    assert house.taken() == [("CALL.WAV", False)]
    house.desk.close()
