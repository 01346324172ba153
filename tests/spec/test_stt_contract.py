"""``WhisperSTT`` as it was asked for: names, signatures, the keys of the answer, the dummy."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import jiwer
import pytest

import stt_engine
import stt_engine.result as types
from stt_engine import Limits, TranscribeResult, WhisperSTT
from stt_engine.coverage import ChannelCoverage, SpeechCoverage, Unheard
from stt_engine.model_store.store import ensure_model_exists
from stt_engine.speech import Segment, Word
from stt_engine.warnings import AnswerWarning
from tests.support import sounds

ROOT = Path(__file__).resolve().parents[2]
CANARY = ROOT / "src" / "stt_engine" / "assets" / "canary.wav"
CANARY_SAYS = json.loads(CANARY.with_suffix(".json").read_text(encoding="utf-8"))

ORIGINAL = (
    "success", "text", "text_en", "duration", "language", "error", "error_type", "backend",
    "is_dummy", "dummy_reason",
)  # fmt: skip
BEYOND = (
    "outcome",
    "segments",
    "segments_en",
    "attempts",
    "provenance",
    "coverage",
    "warnings",
    "timings",
)
SEGMENT = {"id", "start", "end", "text", "channel", "speaker", "speaker_source", "confidence"}


@pytest.fixture(scope="module")
def stt(whisper_base: Path) -> Iterator[WhisperSTT]:
    found = WhisperSTT(whisper_base)
    yield found
    found.close()


def _assert_shape(result: TranscribeResult) -> None:
    assert tuple(result) == ORIGINAL + BEYOND
    json.dumps(result)  # a client gets it as JSON
    assert result["outcome"] in {"speech", "no_speech", "failed"}
    assert result["success"] == (not result["is_dummy"])
    assert result["is_dummy"] == (result["backend"] == "dummy")
    for attempt in result["attempts"]:
        assert set(attempt) == {"backend", "error_type", "error", "elapsed_sec"}


def _words(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalpha() or char == " ").strip()


def test_the_names_are_where_they_were_asked_for() -> None:
    assert set(stt_engine.__all__) >= {"WhisperSTT", "TranscribeResult", "Limits"}
    assert callable(ensure_model_exists)
    assert list(inspect.signature(ensure_model_exists).parameters)[:2] == [
        "model_name",
        "cache_dir",
    ]
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = stt_engine.Nothing


def test_the_signatures() -> None:
    made = inspect.signature(WhisperSTT.__init__).parameters
    assert list(made)[1:4] == ["model_path", "device", "compute_type"]
    assert [made[name].default for name in ("device", "compute_type")] == ["auto", "auto"]
    called = inspect.signature(WhisperSTT.transcribe).parameters
    assert list(called)[1:3] == ["audio_path", "language"]
    assert called["language"].default is None
    assert all(
        parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in list(called.values())[3:]
    )


def test_the_typed_dict_has_the_keys_of_the_contract_in_its_order() -> None:
    hints = typing.get_type_hints(TranscribeResult)
    assert tuple(hints) == ORIGINAL + BEYOND
    assert TranscribeResult.__required_keys__ == set(ORIGINAL + BEYOND)


def test_every_part_of_the_answer_is_typed_key_by_key() -> None:
    """What ``asdict`` makes of a part has the keys and the types of its typed dict."""
    pairs = [
        (Segment, types.SegmentResult),
        (Word, types.WordResult),
        (AnswerWarning, types.WarningResult),
        (Unheard, types.UnheardResult),
        (ChannelCoverage, types.ChannelCoverageResult),
        (SpeechCoverage, types.CoverageResult),
    ]
    nested = {"words", "channels", "unheard"}
    for part, typed in pairs:
        told, hints = typing.get_type_hints(part), typing.get_type_hints(typed)
        assert tuple(told) == tuple(hints), part
        assert {k: v for k, v in told.items() if k not in nested} == {
            k: v for k, v in hints.items() if k not in nested
        }


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_bytes_and_open_files_are_recordings(stt: WhisperSTT, kind: str) -> None:
    with CANARY.open("rb") as opened:
        found = stt.transcribe(opened if kind == "file" else opened.read(), language="en")
    _assert_shape(found)
    assert found["outcome"] == "speech"


def test_it_is_closed_at_the_end_of_its_block(tmp_path: Path) -> None:
    with WhisperSTT(tmp_path, preload=False) as made:
        made.transcribe(sounds.sine(tmp_path / "a.wav", 1.0))
        assert [one.loaded for one in made.components() if one.name == "audio"] == [True]
    assert not any(one.loaded for one in made.components())


def test_speech(stt: WhisperSTT) -> None:
    result = stt.transcribe(str(CANARY), language="en")
    _assert_shape(result)
    assert result["success"] is True
    assert result["outcome"] == "speech"
    assert result["backend"] == "faster-whisper"
    assert jiwer.wer(_words(CANARY_SAYS["text"]), _words(result["text"])) <= 0.2
    assert result["text_en"] == ""
    assert result["duration"] == pytest.approx(3.16, abs=0.05)
    assert result["language"] == "en"
    assert (result["error"], result["error_type"], result["dummy_reason"]) == (None, None, None)
    assert result["attempts"] == []
    for segment in result["segments"]:
        assert set(segment) >= SEGMENT
        assert 0 <= segment["start"] < segment["end"] <= result["duration"] + 0.5
        assert 0 < segment["confidence"] <= 1
    assert " ".join(segment["text"] for segment in result["segments"]) == result["text"]
    provenance = result["provenance"]
    assert set(provenance) >= {
        "model", "model_sha256", "device", "compute_type", "parameters", "engine_version",
    }  # fmt: skip
    assert provenance["model_sha256"] == (
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
    )
    assert provenance["device"] in {"cpu", "cuda"}
    assert result["timings"]["total_sec"] >= result["timings"]["transcribe_sec"] > 0


def test_words_and_translation_when_asked_for(stt: WhisperSTT) -> None:
    result = stt.transcribe(CANARY, "en", translate=True, word_timestamps=True)
    assert result["text_en"] == result["text"] != ""
    words = [word for segment in result["segments"] for word in segment["words"]]
    assert set(words[0]) == {"start", "end", "word", "probability"}
    assert "".join(word["word"] for word in words).split() == result["text"].split()
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)


def test_the_library_has_them_all(stt: WhisperSTT) -> None:
    plain = stt.transcribe(CANARY, "en")
    found = stt.transcribe(CANARY, "en", keywords=["Kensington"], prompt="", word_timestamps=True)
    assert found["text"] == plain["text"]
    assert found["provenance"]["hints"]["keywords"] == 1
    assert found["segments"][0]["words"]
    drawn = stt.transcribe(CANARY, "en", temperature=0.3)
    assert drawn["success"]
    assert drawn["provenance"]["temperature"] == 0.3
    assert set(drawn["provenance"]["pipelines"]) == {"sequential"}
    wrong = stt.transcribe(CANARY, "en", temperature=2)
    assert (wrong["success"], wrong["error_type"]) == (False, "InvalidRequest")


def test_auto_finds_the_language(stt: WhisperSTT) -> None:
    assert stt.transcribe(CANARY, "auto")["language"] == "en"


def test_silence_is_no_error_and_no_transcript(stt: WhisperSTT, tmp_path: Path) -> None:
    result = stt.transcribe(sounds.silence(tmp_path / "a.wav", 3.0))
    _assert_shape(result)
    assert result["success"] is True
    assert result["text"] == ""
    assert result["outcome"] == "no_speech"
    assert result["segments"] == []
    assert result["duration"] == 3.0
    assert result["language"] == "ko"  # None asks for Korean
    assert result["error"] is None
    assert result["is_dummy"] is False


def test_the_two_channels_of_a_call(stt: WhisperSTT, sample_call: Path, tmp_path: Path) -> None:
    cut = _first_seconds(sample_call, tmp_path / "cut.wav", 13.0)
    usual = stt.transcribe(cut, "en")
    swapped = stt.transcribe(cut, "en", agent_channel=1)
    for result, agent in ((usual, 0), (swapped, 1)):
        assert {one["channel"] for one in result["segments"]} == {0, 1}
        for one in result["segments"]:
            assert one["speaker"] == ("agent" if one["channel"] == agent else "customer")
    starts = [one["start"] for one in usual["segments"]]
    assert starts == sorted(starts)
    truth = json.loads(sample_call.with_suffix(".json").read_text(encoding="utf-8"))["segments"]
    for channel in (0, 1):
        said = " ".join(one["text"] for one in truth[:3] if one["channel"] == channel)
        heard = " ".join(one["text"] for one in usual["segments"] if one["channel"] == channel)
        assert jiwer.wer(_words(said), _words(heard)) <= 0.3


def _first_seconds(source: Path, target: Path, seconds: float) -> Path:
    """Cut the 8 kHz mu-law call by its bytes, and put the lengths right."""
    data = bytearray(source.read_bytes())
    place = data.index(b"data") + 8
    length = round(seconds * 8_000) * 2
    data = data[: place + length]
    data[place - 4 : place] = length.to_bytes(4, "little")
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    target.write_bytes(data)
    return target


def test_the_dummy_is_exactly_as_asked_for(tmp_path: Path) -> None:
    stt = WhisperSTT(tmp_path / "none", backends=("faster-whisper",))
    try:
        result = stt.transcribe(tmp_path / "none.wav")
    finally:
        stt.close()
    _assert_shape(result)
    assert {key: result[key] for key in ORIGINAL} == {  # type: ignore[literal-required]
        "success": False,
        "text": "",
        "text_en": "",
        "duration": 0,
        "language": "ko",
        "error": f"{tmp_path / 'none.wav'} not found",
        "error_type": "FileNotFoundError",
        "backend": "dummy",
        "is_dummy": True,
        "dummy_reason": "모든 백엔드 실패로 인한 자동 fallback",
    }
    assert result["outcome"] == "failed"
    assert result["segments"] == []
    assert result["provenance"] == {}


def test_the_dummy_has_the_real_length_where_the_audio_could_be_read(tmp_path: Path) -> None:
    stt = WhisperSTT(tmp_path / "none", preload=False)
    try:
        result = stt.transcribe(sounds.sine(tmp_path / "a.wav", 2.0), language="en")
    finally:
        stt.close()
    assert result["is_dummy"] is True
    assert result["duration"] == 2.0
    assert result["language"] == "en"
    assert result["error_type"] == "FileNotFoundError"


@pytest.mark.parametrize("language", ["xx", "Korean", "ko-KR", "KO", "../ko", "ko\n"])
def test_an_unknown_language_is_refused_by_name(stt: WhisperSTT, language: str) -> None:
    result = stt.transcribe(CANARY, language)
    _assert_shape(result)
    assert result["error_type"] == "InvalidRequest"
    assert result["text"] == ""


def test_a_channel_that_no_call_has_is_refused_by_name(stt: WhisperSTT) -> None:
    assert stt.transcribe(CANARY, "en", agent_channel=2)["error_type"] == "InvalidRequest"


@pytest.mark.parametrize("backends", [(), ("whisper",), ("dummy",)])
def test_a_chain_that_does_not_exist_is_refused_at_once(backends: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="backends must be chosen from"):
        WhisperSTT("x", backends=backends)


def test_limits_are_part_of_the_public_names() -> None:
    assert Limits().transcribe_timeout(1.0) == 60.0
    assert Limits().transcribe_timeout(3600.0) == 4 * 3600.0
    assert Limits().transcribe_timeout(3600.0, passes=2) == 8 * 3600.0


def _python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_the_snippets_of_the_original_run_from_any_folder_as_printed(
    whisper_base: Path, tmp_path: Path
) -> None:
    """Section 3.3: ``python -c``, no ``__main__`` guard, another folder; only the paths differ."""
    ended = _python(
        f"""
from stt_engine import WhisperSTT
stt = WhisperSTT('{whisper_base}')
print('✓ 모델 로드 성공')
result = stt.transcribe('{CANARY}', language='ko')
print(result)
""",
        tmp_path,
    )
    loaded, printed = ended.stdout.splitlines()
    assert loaded == "✓ 모델 로드 성공"
    result = ast.literal_eval(printed)
    assert tuple(result) == ORIGINAL + BEYOND
    assert result["success"] is True
    assert result["language"] == "ko"


def test_the_snippet_with_no_model_prints_a_dummy_and_raises_nothing(tmp_path: Path) -> None:
    ended = _python(
        """
from stt_engine import WhisperSTT
stt = WhisperSTT('models/none')
print(stt.transcribe('audio/none.wav', language='ko'))
""",
        tmp_path,
    )
    result = ast.literal_eval(ended.stdout)
    assert result["is_dummy"] is True
    assert result["error_type"] == "FileNotFoundError"
    assert "Traceback" not in ended.stderr


def test_importing_the_package_imports_no_recogniser(tmp_path: Path) -> None:
    ended = _python(
        "import sys; from stt_engine import WhisperSTT; print([name for name in "
        "('torch', 'ctranslate2', 'faster_whisper', 'whisper', 'transformers', 'api_server', "
        "'stt_tools', 'fastapi') if name in sys.modules])",
        tmp_path,
    )
    assert ended.stdout.strip() == "[]"
