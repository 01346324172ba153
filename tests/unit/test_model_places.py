"""A model is found by its name, and from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from faster_whisper.utils import _MODELS  # type: ignore[import-untyped]

from api_server.settings import read_settings
from stt_engine.errors import InvalidRequest, ModelNotFound
from stt_engine.model_store.folder import locate
from stt_engine.model_store.places import (
    _REPOSITORIES,
    check_name,
    find_model,
    full_name,
    models_folder,
)

BASE = "Systran_faster-whisper-base"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder, and a working folder that is empty."""
    working, home = tmp_path / "working", tmp_path / "home"
    working.mkdir()
    home.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("STT_HOME", str(home))
    return home


def test_the_short_names_are_those_of_faster_whisper() -> None:
    assert dict(_MODELS) == dict(_REPOSITORIES)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("base", "Systran/faster-whisper-base"),
        ("BASE", "Systran/faster-whisper-base"),
        ("large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
        ("faster-whisper-base", "Systran/faster-whisper-base"),
        ("systran/faster-whisper-base", "Systran/faster-whisper-base"),
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("somebody/her-model", "somebody/her-model"),
        ("Somebody/Her-Model", "Somebody/Her-Model"),
    ],
)
def test_names(name: str, full: str) -> None:
    assert (full_name(name), check_name(name)) == (full, full)


@pytest.mark.parametrize(("name", "meant"), [("bse", "base"), ("large-v3-trbo", "large-v3-turbo")])
def test_the_name_that_was_meant_is_suggested(name: str, meant: str) -> None:
    with pytest.raises(InvalidRequest, match=f"did you mean '{meant}'"):
        check_name(name)
    with pytest.raises(ModelNotFound, match=f"did you mean '{meant}'"):
        locate(Path(name), "faster-whisper")


@pytest.mark.parametrize("given", ["base", f"models/{BASE}", "Systran/faster-whisper-base", BASE])
def test_from_any_folder_it_is_found_in_the_data_folder(given: str, home: Path) -> None:
    folder = home / "models" / BASE
    folder.mkdir(parents=True)
    assert find_model(given) == folder


@pytest.mark.parametrize("given", ["base", f"models/{BASE}", "Systran/faster-whisper-base"])
def test_models_of_the_working_folder_come_first(given: str, home: Path) -> None:
    (home / "models" / BASE).mkdir(parents=True)
    Path("models", BASE).mkdir(parents=True)
    assert find_model(given) == Path("models", BASE)


def test_a_folder_of_that_name_comes_before_the_name(home: Path) -> None:
    (home / "models" / BASE).mkdir(parents=True)
    Path("base").mkdir()
    assert find_model("base") == Path("base")


def test_where_there_is_none_it_is_where_a_fetch_would_put_it(home: Path) -> None:
    assert models_folder() == home / "models"
    assert find_model("base") == find_model(f"models/{BASE}") == home / "models" / BASE
    Path("models").mkdir()
    assert models_folder() == Path("models")
    assert find_model("base") == find_model(f"models/{BASE}") == Path("models", BASE)


def test_other_paths_stay_as_they_are(home: Path) -> None:
    assert find_model("weights/mine") == Path("weights/mine")
    assert find_model(home / "nowhere") == home / "nowhere"


def test_without_a_variable_it_is_the_users_own_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STT_HOME")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert home in models_folder().parents
    assert models_folder().parts[-2:] == ("stt-engine", "models")


def test_the_settings_find_it_too(home: Path) -> None:
    (home / "models" / BASE).mkdir(parents=True)
    Path(".env").write_text(f"STT_HOME={home}\nSTT_MODEL_PATH=base\n", encoding="utf-8")
    assert read_settings().stt_model_path == home / "models" / BASE
    Path(".env").write_text(f"STT_HOME={home}\n", encoding="utf-8")
    assert read_settings().stt_model_path == home / "models" / BASE
