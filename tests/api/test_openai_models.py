"""Several models on one server: which can be named, which answers, and what they may hold."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from api_server.pipeline.model_names import ModelNames
from api_server.settings import Settings
from tests.api.test_openai_wire import Part, ask
from tests.support.in_process import CANARY_WORDS, Running, running
from tests.support.models import whisper_base

OWN = "Systran/faster-whisper-base"
BESIDE = {path.name for path in Path("models").glob("*")}
"""What else is in the checkout's folder of models: the tests of the torch backends make one."""


def _copied(home: Path, name: str) -> Path:
    """Return another model: the same weights in a folder of its own."""
    folder = home / "models" / name
    shutil.copytree(whisper_base(), folder, copy_function=os.link)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a second and a third model, and one that is not whole."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("second", "third", "half"):
        _copied(folder, name)
    (folder / "models" / "half" / "tokenizer.json").unlink()
    return folder


@pytest.fixture(scope="module")
async def several(home: Path) -> AsyncIterator[Running]:
    """A server that has them, and room for one beside its own."""
    settings: dict[str, Any] = {"stt_home": home, "stt_model_aliases": ["whisper-1"]}
    async with running(stt_models_memory_mb=2400.0, **settings) as server:
        yield server


async def transcribe(server: Running, canary: bytes, *more: Part) -> httpx2.Response:
    return await ask(server, ("file", canary), ("language", "en"), *more)


def loaded(server: Running) -> dict[str, int | None]:
    stt = server.service.stt
    states = (*stt.components(), *stt.others())
    return {one.model: one.pid for one in states if one.model and one.loaded}


async def _named(server: Running) -> list[str]:
    listed = (await server.client.get("/v1/models")).json()["data"]
    return [one["id"] for one in listed if one["id"] not in BESIDE]


async def test_each_model_answers_by_its_name_and_says_so(several: Running, canary: bytes) -> None:
    assert await _named(several) == [OWN, "whisper-1", "second", "third"]
    other = await transcribe(several, canary, ("model", "second"))
    assert CANARY_WORDS in other.json()["text"].lower()
    assert other.json()["stt_engine"]["model"] == "second"
    both = loaded(several)
    assert both.keys() == {OWN, "second"}
    assert len(set(both.values())) == 2
    for asked in ("whisper-1", "base", OWN):
        own = await transcribe(several, canary, ("model", asked))
        assert own.json()["stt_engine"]["model"] == OWN
        assert own.json()["text"] == other.json()["text"]
    assert loaded(several) == both  # nothing was loaded anew
    health = (await several.client.get("/health")).json()
    named = {one["model"] for one in health["components"] if one.get("loaded") and one["model"]}
    assert (health["ready"], named) == (True, {OWN, "second"})
    metrics = (await several.client.get("/metrics")).text
    assert 'stt_engine_model_recordings_total{model="second"} 1.0' in metrics


async def test_one_that_is_not_installed_is_refused_by_name(
    several: Running, canary: bytes
) -> None:
    before = loaded(several)
    for name in ("secnd", "half", "large-v3"):
        answer = await transcribe(several, canary, ("model", name))
        told = answer.json()["error"]
        assert (answer.status_code, told["code"], told["param"]) == (
            404,
            "model_not_found",
            "model",
        )
        assert (await several.client.get(f"/v1/models/{name}")).status_code == 404
    assert "did you mean 'second'" in (await transcribe(several, canary, ("model", "secnd"))).text
    assert loaded(several) == before


async def test_a_stream_and_a_translation_are_of_the_model_that_was_named(
    several: Running, canary: bytes
) -> None:
    stream = await transcribe(several, canary, ("model", "second"), ("stream", "true"))
    assert stream.text.rstrip().endswith("data: [DONE]")
    assert '"model": "second"' in stream.text
    parts: list[Part] = [("file", canary), ("language", "en"), ("model", "second")]
    english = await ask(several, *parts, path="/v1/audio/translations")
    assert english.json()["stt_engine"]["model"] == "second"


async def test_one_goes_for_another_and_what_goes_from_the_disk_is_not_there(
    several: Running, canary: bytes, home: Path
) -> None:
    third = await transcribe(several, canary, ("model", "third"))
    assert third.json()["stt_engine"]["model"] == "third"
    assert loaded(several).keys() == {OWN, "third"}
    shutil.rmtree(home / "models" / "third")
    assert (await transcribe(several, canary, ("model", "third"))).status_code == 404
    own = await transcribe(several, canary, ("model", "whisper-1"))
    assert own.json()["stt_engine"]["model"] == OWN


async def test_a_model_without_room_is_an_error_with_the_cause(home: Path, canary: bytes) -> None:
    settings: dict[str, Any] = {"stt_home": home, "stt_models_memory_mb": 1000.0}
    async with running(ready=False, **settings) as small:
        answer = await transcribe(small, canary, ("model", "second"))
        told = answer.json()["error"]
        assert (answer.status_code, told["code"]) == (503, "ModelTooLarge")
        assert "STT_MODELS_MEMORY_MB=1000" in told["message"]
        assert answer.headers["x-should-retry"] == "false"


async def test_transcribe_and_jobs_take_one_by_its_name_too(
    several: Running, canary: bytes
) -> None:
    file = {"file": ("call.wav", canary)}
    for path in ("/transcribe", "/jobs"):
        wrong = await several.client.post(path, data={"model": "secnd"}, files=file)
        assert (wrong.status_code, wrong.json()["type"]) == (
            404,
            "urn:stt-engine:problem:model-not-found",
        )
        assert "did you mean 'second'" in wrong.json()["detail"]
    asked = {"language": "en", "model": "second"}
    answer = await several.client.post("/transcribe", data=asked, files=file)
    assert Path(answer.json()["provenance"]["model"]).name == "second"
    job = (await several.client.post("/jobs", data=asked, files=file)).json()["id"]
    with anyio.fail_after(90):
        while not (cases := await _ended(several, job)):  # noqa: ASYNC110 - it has no event here
            await anyio.sleep(0.02)
    told = (await several.client.get(f"/cases/{cases[0]['id']}")).json()["answer"]
    assert Path(told["provenance"]["model"]).name == "second"


async def _ended(server: Running, job: str) -> list[dict[str, Any]]:
    found = (await server.client.get("/cases", params={"job": job})).json()["cases"]
    return [one for one in found if one["state"] == "done"]


@pytest.mark.slow
async def test_an_idle_model_is_unloaded_and_comes_back(home: Path, canary: bytes) -> None:
    async with running(stt_home=home, stt_model_idle_sec=0.05) as server:
        for _ in range(2):
            assert (await transcribe(server, canary, ("model", "second"))).status_code == 200
            with anyio.fail_after(60):
                while server.service.stt.others():  # noqa: ASYNC110 - it has no event
                    await anyio.sleep(0.01)
        assert any("모델 내림 (second, 오래 쓰이지 않음)" in one for one in server.log.all())
        assert loaded(server).keys() == {OWN}


async def test_which_others_there_are_is_a_setting(tmp_path: Path) -> None:
    folder = _copied(tmp_path, "second")
    _copied(tmp_path, "third")
    for listed, others in (
        ([], []),
        (["installed"], ["second", "third"]),
        (["third"], ["third"]),
        ([str(folder), "absent"], ["second"]),
    ):
        names: dict[str, Any] = {"stt_home": tmp_path, "stt_model_path": whisper_base()}
        settings = Settings(_env_file=None, stt_other_models=listed, stt_model_aliases=[], **names)
        found = await ModelNames.of(settings).all()
        assert [one.name for one in found if one.name not in BESIDE] == [OWN, *others]
