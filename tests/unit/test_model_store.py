"""The catalogue, verification and listing of models; fetching is in tests/failure."""

from __future__ import annotations

import hashlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stt_engine.errors import ModelDamaged, ModelNotFound
from stt_engine.events import Stage
from stt_engine.hashing import sha256_of
from stt_engine.log import LogObserver
from stt_engine.model_store.catalogue import (
    CatalogueEntry,
    Manifest,
    PinnedFile,
    folder_name,
    load_catalogue,
    read_manifest,
)
from stt_engine.model_store.download import _is_wanted
from stt_engine.model_store.events import (
    ELSEWHERE,
    FetchProgressed,
    FetchStarted,
    FetchWaiting,
)
from stt_engine.model_store.log_lines import FETCH_LINES
from stt_engine.model_store.sources import _weight, without_secrets
from stt_engine.model_store.store import ensure_model_exists, list_models, verify_model
from stt_engine.outcome import DUMMY, Attempts
from tests.support.model_files import faster_whisper_folder
from tests.support.models import whisper_base

RAW = b"0123456789"
FILE = PinnedFile("model.bin", len(RAW), hashlib.sha256(RAW).hexdigest())
ENTRY = CatalogueEntry("owner/name", "MIT", (FILE,))
CATALOGUE = {ENTRY.name: ENTRY}


def folder(root: Path, raw: bytes = RAW) -> Path:
    path = root / "owner_name"
    path.mkdir(parents=True)
    (path / "model.bin").write_bytes(raw)
    return path


@pytest.mark.parametrize("entry", load_catalogue().values(), ids=lambda entry: entry.name)
def test_catalogue_is_complete(entry: CatalogueEntry) -> None:
    names = {file.name for file in entry.files}
    assert names
    assert entry.licence
    for pinned in (*entry.files, *entry.packages):
        assert pinned.size > 0
        assert len(bytes.fromhex(pinned.sha256)) == 32
    assert entry.repo is None or (entry.revision and len(bytes.fromhex(entry.revision)) == 20)
    assert {file for one in entry.packages for file in one.members.values()} == names


def test_catalogue_pins_what_the_contract_says() -> None:
    entry = load_catalogue()["Systran/faster-whisper-base"]
    assert entry.revision == "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"
    sizes = {file.name: file.size for file in entry.files}
    assert sizes == {
        "config.json": 2_309,
        "tokenizer.json": 2_203_239,
        "vocabulary.txt": 459_861,
        "model.bin": 145_217_532,
    }
    weights = next(file for file in entry.files if file.name == "model.bin")
    assert weights.sha256 == "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"


def test_folder_name_has_no_separator() -> None:
    assert folder_name("Systran/faster-whisper-base") == "Systran_faster-whisper-base"


def test_sha256_of_many_blocks(tmp_path: Path) -> None:
    raw = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(raw)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(raw).hexdigest()


def test_a_whole_folder_is_given_as_it_is(tmp_path: Path) -> None:
    path = folder(tmp_path)
    given = ensure_model_exists(ENTRY.name, str(tmp_path), catalogue=CATALOGUE, sources=())
    assert given == path
    assert [one.name for one in tmp_path.iterdir()] == ["owner_name"], "nothing is written"


@pytest.mark.parametrize(
    ("raw", "status", "problem"),
    [
        (RAW, "ok", ""),
        (RAW[:-1], "wrong size", "has 9 bytes, not 10"),
        (RAW[::-1], "wrong hash", "has SHA-256"),
        (None, "missing", "is missing"),
    ],
)
def test_verify_names_what_is_wrong(
    raw: bytes | None, status: str, problem: str, tmp_path: Path
) -> None:
    path = folder(tmp_path, raw or b"")
    if raw is None:
        (path / "model.bin").unlink()
    (only,) = verify_model(path, catalogue=CATALOGUE)
    assert (only.name, only.status, only.ok) == ("model.bin", status, status == "ok")
    assert only.problem.startswith(problem)


def test_verify_shows_files_that_nobody_lists(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "extra.json").write_text("{}")
    results = {one.name: one for one in verify_model(path, catalogue=CATALOGUE)}
    assert results["extra.json"].status == "not listed"
    assert results["extra.json"].ok


def test_verify_trusts_the_catalogue_over_the_list_in_the_folder(tmp_path: Path) -> None:
    path = folder(tmp_path, b"evil567890")
    forged = PinnedFile("model.bin", 10, sha256_of(path / "model.bin"))
    Manifest(ENTRY.name, "hub", None, "MIT", "hub", (forged,)).write(path)
    (only,) = verify_model(path, catalogue=CATALOGUE)
    assert (only.status, only.against) == ("wrong hash", "catalogue")
    (only,) = verify_model(path, catalogue={})
    assert (only.status, only.against) == ("ok", "stt-engine.json")


def test_verify_needs_something_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere not found"):
        verify_model(tmp_path / "nowhere")
    path = folder(tmp_path)
    with pytest.raises(ModelDamaged, match=r"no stt-engine\.json"):
        verify_model(path, catalogue={})
    (path / "stt-engine.json").write_text("{")
    with pytest.raises(ModelDamaged, match=r"stt-engine\.json cannot be read"):
        verify_model(path, catalogue={})


def test_manifest_round_trip(tmp_path: Path) -> None:
    manifest = Manifest("owner/name", "hub", "abc", None, "hub", (FILE,))
    manifest.write(tmp_path)
    assert read_manifest(tmp_path) == manifest


def test_list_shows_the_catalogue_and_what_lies_there(tmp_path: Path) -> None:
    assert [one.whole for one in list_models(tmp_path / "none", catalogue=CATALOGUE)] == [False]
    path = folder(tmp_path)
    faster_whisper_folder(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    models = {one.name: one for one in list_models(tmp_path, catalogue=CATALOGUE)}
    assert set(models) == {"owner/name", "mine"}
    assert (models["owner/name"].whole, models["owner/name"].licence) == (True, "MIT")
    assert (models["mine"].whole, models["mine"].path) == (True, tmp_path / "mine")
    (path / "model.bin").unlink()
    assert not list_models(tmp_path, catalogue=CATALOGUE)[0].whole


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at http://user:pass@host/x", "at http://***@host/x"),
        ("at https://token@host/x", "at https://***@host/x"),
        ("https://cdn/x?X-Amz-Signature=abc end", "https://cdn/x?... end"),
        ("nothing to hide?", "nothing to hide?"),
    ],
)
def test_reasons_hide_secrets(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model.bin", True),
        ("model.safetensors", True),
        ("model-00001-of-00002.safetensors", True),
        ("preprocessor_config.json", True),
        ("vocabulary.txt", True),
        ("pytorch_model.bin", False),
        ("model.fp32-00001-of-00002.safetensors", False),
        ("flax_model.msgpack", False),
        ("../evil.json", False),
        ("sub/x.json", False),
        (".gitattributes", False),
    ],
)
def test_which_files_of_a_repository_are_wanted(name: str, wanted: bool) -> None:
    assert _is_wanted(name) is wanted


def test_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="stt")
    attempts = Attempts(Stage.FETCH, [LogObserver(FETCH_LINES)], subject="NAME")
    attempts.emit(FetchStarted(model="NAME"))
    attempts.emit(FetchWaiting(model="NAME"))
    attempts.emit(FetchProgressed(model="NAME", source="hub", done=1, total=2))
    attempts.settle(None, "hub")
    attempts.settle(None, ELSEWHERE)
    attempts.settle(None, DUMMY)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", "모델 자동 다운로드 시작: NAME"),
        ("INFO", "다른 프로세스가 모델 다운로드 중, 완료 대기: NAME"),
        ("INFO", "모델 다운로드 완료"),
        ("INFO", "모델 다운로드 완료 (다른 프로세스)"),
        ("ERROR", "모델 다운로드 실패: NAME ()"),
    ]


def test_real_weights_verify() -> None:
    results = verify_model(whisper_base())
    assert {(one.status, one.against) for one in results} == {("ok", "catalogue")}
    assert len(results) == 4


def test_what_a_download_weighs_is_told_while_its_folders_come_and_go(tmp_path: Path) -> None:
    """pip removes its temporary folders; in the middle of one the fetch had failed."""
    (tmp_path / "kept").write_bytes(bytes(7))
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            inner = tmp_path / "pip-download" / "inner"
            inner.mkdir(parents=True)
            shutil.rmtree(tmp_path / "pip-download")

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(come_and_go)
        try:
            assert {_weight(tmp_path) for _ in range(3_000)} == {7}
        finally:
            done.set()
        changing.result()
