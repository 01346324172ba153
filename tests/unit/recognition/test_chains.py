"""Models beside the default one: when they come, stay and go. Backends are a few lines here."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stt_engine.errors import ModelsFull, ModelTooLarge, ServerStopping
from stt_engine.events import Event, ModelUnloaded
from stt_engine.limits import Limits
from stt_engine.recognition import chains
from stt_engine.recognition.chains import AT_WORK_MB, Chains

DEFAULT, ONE, TWO, THREE = (Path(name) for name in ("default", "one", "two", "three"))
FOREVER = 3600.0


@dataclass
class Backend:
    """Holds what it is told to; never loads anything."""

    memory_mb: float = 0.0
    pid: int | None = 1
    closed: int = 0
    stopped: int = 0

    def close(self) -> None:
        self.closed += 1

    def stop(self) -> None:
        self.stopped += 1


@dataclass
class Made:
    """Chains, what they built for each folder, and what they told."""

    chains: Chains
    built: dict[Path, list[Backend]]
    told: list[Event] = field(default_factory=list)

    def unloaded(self) -> list[tuple[str, str]]:
        return [(one.model, one.reason) for one in self.told if isinstance(one, ModelUnloaded)]


@pytest.fixture(autouse=True)
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "files_mb", lambda _folder: 0.0)


def made(models: float, idle_sec: float = FOREVER, observer: Any = None) -> Made:
    """Return chains with room for so many models at work."""
    built: dict[Path, list[Backend]] = {}
    told: list[Event] = []

    def build(folder: Path) -> Any:
        backends = [Backend()]
        built.setdefault(folder, []).extend(backends)
        return tuple(backends)

    limits = Limits(models_memory_mb=models * AT_WORK_MB, model_idle_sec=idle_sec)
    return Made(Chains(DEFAULT, build, limits, (told.append, observer or print)), built, told)


def test_the_default_model_is_the_same_by_its_folder_and_without_one() -> None:
    here = made(1)
    with here.chains.held(None) as first, here.chains.held(DEFAULT) as second:
        assert first is second is here.chains.default
    assert here.chains.others() == []


def test_another_model_stays_for_the_next_call() -> None:
    here = made(2)
    for _ in range(3):
        with here.chains.held(ONE) as backends:
            assert [*backends] == here.built[ONE]
    assert len(here.built[ONE]) == 1
    assert here.chains.others() == [("one", here.built[ONE][0])]
    assert here.unloaded() == []


def test_the_longest_unused_one_goes_for_the_next() -> None:
    here = made(3)
    for folder in (ONE, TWO, ONE, THREE):
        with here.chains.held(folder):
            pass
    assert here.unloaded() == [("two", "room")]
    assert here.built[TWO][0].closed == 1
    assert [name for name, _ in here.chains.others()] == ["one", "three"]
    assert here.built[DEFAULT][0].closed == 0


def test_none_that_is_in_use_goes() -> None:
    here = made(2)
    full = pytest.raises(ModelsFull, match="STT_MODELS_MEMORY_MB")
    with here.chains.held(ONE), full, here.chains.held(TWO):
        pytest.fail("there is no room for it")
    with here.chains.held(TWO):
        pass
    assert here.unloaded() == [("one", "room")]


def test_nothing_is_unloaded_for_a_model_that_then_has_no_room() -> None:
    here = made(3)
    with here.chains.held(ONE):
        with here.chains.held(TWO):
            pass
        here.built[ONE][0].memory_mb = 2 * AT_WORK_MB
        with pytest.raises(ModelsFull), here.chains.held(THREE):
            pytest.fail("there is no room for it")
        assert here.built[TWO][0].closed == 0


def test_one_that_never_has_room_says_so() -> None:
    here = made(1.5)
    told = "one needs about 700 MiB, the default model 700"
    with pytest.raises(ModelTooLarge, match=told), here.chains.held(ONE):
        pytest.fail("there is no room for it")


def test_what_a_process_really_holds_counts() -> None:
    here = made(3)
    with here.chains.held(ONE):
        here.built[ONE][0].memory_mb = 2.5 * AT_WORK_MB
    assert here.unloaded() == [("one", "room")]


def test_an_idle_one_goes_after_its_time() -> None:
    gone = threading.Event()

    def observer(event: Event) -> None:
        if isinstance(event, ModelUnloaded):
            gone.set()

    here = made(2, 0.01, observer)
    with here.chains.held(ONE):
        assert not gone.wait(0.05)  # not while a call has it
    assert gone.wait(60)
    assert here.unloaded() == [("one", "idle")]
    assert here.built[ONE][0].closed == 1


def test_one_that_is_closed_under_a_call_leaves_no_process_behind() -> None:
    here = made(2)
    with here.chains.held(ONE):
        here.chains.close()
        assert here.built[ONE][0].closed == 1  # and the call may begin anew
    assert here.built[ONE][0].closed == 2
    assert here.built[DEFAULT][0].closed == 1


def test_nothing_begins_after_the_end() -> None:
    here = made(3)
    with here.chains.held(ONE):
        here.chains.stop()
    assert [here.built[one][0].stopped for one in (DEFAULT, ONE)] == [1, 1]
    with pytest.raises(ServerStopping), here.chains.held(TWO):
        pytest.fail("it is stopped")


def test_calls_of_many_threads_share_one() -> None:
    here = made(2)
    at_once = threading.Barrier(8)

    def call() -> None:
        at_once.wait()
        with here.chains.held(ONE):
            pass

    threads = [threading.Thread(target=call) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(here.built[ONE]) == 1
