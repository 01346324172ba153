"""The two torch backends on the same real weights as faster-whisper, and the chain across all."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stt_engine import WhisperSTT
from stt_engine.engine import BACKENDS
from stt_engine.limits import Limits
from tests.support import sounds
from tests.support.mid_step import stop, stopped_in_a_step

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None, reason="torch is not here: make test-torch"
    ),
    pytest.mark.timeout(600),
]

CLIP = Path(__file__).parents[2] / "src" / "stt_engine" / "assets" / "canary.wav"
SAID = "test of the speech recognition service"


@pytest.fixture(scope="session")
def weights() -> Path:
    from tests.support.convert_weights import whisper_base_all  # noqa: PLC0415

    return whisper_base_all()


@pytest.fixture(scope="module", params=BACKENDS)
def one_backend(request: pytest.FixtureRequest, weights: Path) -> Iterator[WhisperSTT]:
    stt = WhisperSTT(weights, device="cpu", backends=(request.param,))
    yield stt
    stt.close()


def test_every_backend_recognises_speech(one_backend: WhisperSTT) -> None:
    result = one_backend.transcribe(CLIP, language="en")
    assert result["success"], result["error"]
    assert SAID in result["text"].lower().replace(".", "")
    assert result["backend"] in BACKENDS
    assert not result["is_dummy"]
    assert result["provenance"]["model_sha256"]
    assert result["segments"][0]["start"] < result["segments"][-1]["end"] <= 4


def test_every_backend_detects_the_language(one_backend: WhisperSTT) -> None:
    assert one_backend.transcribe(CLIP, language="auto")["language"] == "en"


def test_every_backend_hears_silence_as_silence(one_backend: WhisperSTT, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.wav"
    sounds.silence(quiet, 5)
    result = one_backend.transcribe(quiet, language="en")
    assert (result["success"], result["text"], result["outcome"]) == (True, "", "no_speech")


def test_english_is_given_only_when_asked_for(one_backend: WhisperSTT) -> None:
    assert one_backend.transcribe(CLIP, language="en")["text_en"] == ""
    asked = one_backend.transcribe(CLIP, language="en", translate=True)
    assert asked["text_en"] == asked["text"]


def test_a_backend_takes_hints_and_a_temperature_or_says_that_it_does_not(
    one_backend: WhisperSTT,
) -> None:
    plain = one_backend.transcribe(CLIP, language="en")
    found = one_backend.transcribe(
        CLIP, language="en", keywords=["Kensington"], temperature=0.1, word_timestamps=True
    )
    assert found["success"]
    assert "Kensington" not in found["text"]
    (warning,) = found["warnings"] or [{"code": "", "detail": ""}]
    if one_backend.components()[1].name == "transformers":
        assert (warning["code"], warning["detail"]) == ("not_taken", "words, hints, temperature")
        assert found["text"] == plain["text"]
    else:
        assert warning["code"] == ""
        assert found["segments"][0]["words"]


@pytest.mark.parametrize(
    ("number", "error_type"), [(signal.SIGKILL, "WorkerDied"), (signal.SIGSTOP, "DeadlineExceeded")]
)
def test_the_next_backend_answers_the_same_call(
    weights: Path, number: signal.Signals, error_type: str, tmp_path: Path
) -> None:
    call = tmp_path / "call.wav"
    call.write_bytes(sounds.repeated(CLIP.read_bytes(), 3))
    stt = WhisperSTT(weights, device="cpu", limits=Limits(stall_timeout_sec=8))
    try:
        stop(stt)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(stt.transcribe, call, language="en")
            stopped_in_a_step(stt).send_signal(number)
            result = answer.result(500)
        assert result["backend"] == "transformers"
        assert result["text"].lower().count("speech recognition") == 3
        assert [one["error_type"] for one in result["attempts"]] == [error_type]
        again = stt.transcribe(CLIP, language="en")
        assert (again["backend"], again["attempts"]) == ("faster-whisper", [])
        states = {one.name: one.state for one in stt.components()}
        assert states["transformers"] == "stopped", "a fallback's memory is freed once all is well"
    finally:
        stt.close()


def test_a_damaged_first_format_falls_through_to_the_others(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(weights, folder)
    whole = (folder / "faster-whisper" / "model.bin").read_bytes()
    (folder / "faster-whisper" / "model.bin").unlink()
    (folder / "faster-whisper" / "model.bin").write_bytes(whole[: len(whole) // 2])
    (folder / "transformers" / "preprocessor_config.json").unlink()
    stt = WhisperSTT(folder, device="cpu")
    try:
        result = stt.transcribe(CLIP, language="en")
        assert result["backend"] == "openai-whisper"
        assert [one["error_type"] for one in result["attempts"]] == ["ModelDamaged"] * 2
    finally:
        stt.close()


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    folder, touched = tmp_path / "model", tmp_path / "touched"
    folder.mkdir()
    torch.save({"dims": {}, "model_state_dict": _Payload(touched)}, folder / "base.pt")
    stt = WhisperSTT(folder, device="cpu", backends=("openai-whisper",))
    result = stt.transcribe(CLIP, language="en")
    stt.close()
    assert result["is_dummy"]
    assert not touched.exists()
    assert pickle.dumps(_Payload(touched))  # the payload itself is sound: only loading refused it


def test_provenance_names_the_same_weights(weights: Path) -> None:
    facts = json.loads((weights / "transformers" / "config.json").read_text(encoding="utf-8"))
    assert facts["d_model"] == 512
