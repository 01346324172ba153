"""The failures of the original request, each made to happen for real.

Each ends in an honest dummy: the real cause in the answer, the lines in the log in their order,
nothing counted as a defect of ours, and the next call is normal as soon as the cause is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import psutil
import pytest

from stt_engine import Limits, TranscribeResult, WhisperSTT
from stt_engine.errors import AudioRejected
from stt_engine.log import DUMMY_REASON, LogObserver, escape
from stt_engine.outcome import Event, Stage
from stt_engine.speech import SpeechRequest
from stt_engine.stt_lines import stt_lines
from tests.support import model_files, sounds
from tests.support.mid_step import stopped_in_a_step

ROOT = Path(__file__).resolve().parents[2]
CANARY = ROOT / "src" / "stt_engine" / "assets" / "canary.wav"
ONLY = ("faster-whisper",)
BOUND = 90.0
"""Seconds that no wait of these tests comes near unless the product hangs."""

DUMMY_LINES = [
    "WARNING - [STT] Dummy 응답으로 fallback (로깅됨)",
    f"INFO - [STT] Dummy 응답: is_dummy=True, reason={DUMMY_REASON}",
]


class Watch:
    """The observers of an engine: its events, its log lines, and when it is in mid call."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.heard = threading.Event()
        self.observers = (self.events.append, LogObserver(stt_lines()), self._listen)

    def _listen(self, event: Event) -> None:
        if (event.stage, event.kind) == (Stage.STT, "noted"):
            self.heard.set()

    def count(self, stage: Stage, kind: str) -> int:
        return sum((event.stage, event.kind) == (stage, kind) for event in self.events)


@pytest.fixture
def watch() -> Iterator[Watch]:
    found = Watch()
    yield found
    assert not [event for event in found.events if event.failure and event.failure.unexpected]


Make = Callable[..., WhisperSTT]


@pytest.fixture
def make(watch: Watch) -> Iterator[Make]:
    made: list[WhisperSTT] = []

    def engine(folder: Path, **settings: object) -> WhisperSTT:
        chosen = {"backends": ONLY, **settings}
        made.append(WhisperSTT(folder, observers=watch.observers, **chosen))  # type: ignore[arg-type]
        return made[-1]

    yield engine
    for one in made:
        one.close()


@pytest.fixture
def model(whisper_base: Path, tmp_path: Path) -> Path:
    """A folder of links to the real weights, for a test to damage."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in whisper_base.iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
    return folder


def _assert_dummy(result: TranscribeResult, error_type: str, *words: str) -> None:
    assert result["error_type"] == error_type, result
    for word in words:
        assert word in (result["error"] or ""), result
    assert result["success"] is False
    assert (result["text"], result["text_en"], result["segments"]) == ("", "", [])
    assert (result["backend"], result["is_dummy"]) == ("dummy", True)
    assert result["dummy_reason"] == DUMMY_REASON
    assert result["outcome"] == "failed"
    assert result["attempts"] != []
    json.dumps(result)


def _assert_works(stt: WhisperSTT) -> None:
    result = stt.transcribe(CANARY, "en")
    assert result["success"] is True, result
    assert "speech recognition" in result["text"].lower()


def _stt(lines: list[str], start: int = 0) -> list[str]:
    """What an operator sees of the component STT at level INFO."""
    return [line for line in lines[start:] if "- [STT] " in line and not line.startswith("DEBUG")]


def _lines_of(result: TranscribeResult, source: str, language: str = "en") -> list[str]:
    """The lines of a call that failed in one source that was loaded, or before any was asked."""
    cause = escape(f"{result['error_type']}: {result['error']}")
    return [
        f"INFO - [STT] 음성 변환 시작 (language={language})",
        f"WARNING - [STT] 시도 실패 ({source}): {cause}",
        f"ERROR - [STT] 모든 백엔드 실패: {cause}",
        *DUMMY_LINES,
    ]


def _lines_of_load(
    result: TranscribeResult, folder: Path | None = None, *, started: bool = False
) -> list[str]:
    """The lines of a call whose model could not be loaded."""
    lines = _lines_of(result, "faster-whisper")
    cause = escape(f"{result['error_type']}: {result['error']}")
    lines[1] = f"ERROR - [STT] 모델 로드 실패: {cause}"  # said once, by the stage it happened in
    if started:
        lines.insert(1, f"INFO - [STT] 모델 로드 시작 ({folder})")
    return lines


# 1. The model's files ---------------------------------------------------------------------


def test_no_model_folder(make: Make, tmp_path: Path, log_lines: list[str]) -> None:
    folder = tmp_path / "faster-whisper-large-v3-turbo"
    stt = make(folder)
    told = len(log_lines)
    assert _stt(log_lines)[0].startswith(
        f"ERROR - [STT] 모델 로드 실패: FileNotFoundError: {folder} not found"
    )
    result = stt.transcribe(CANARY, "en")
    _assert_dummy(result, "FileNotFoundError", f"{folder} not found", "model fetch")
    assert result["duration"] == pytest.approx(3.16, abs=0.05)
    assert _stt(log_lines, told) == _lines_of_load(result)
    assert stt.ready is False


def test_an_empty_model_folder(make: Make, tmp_path: Path) -> None:
    result = make(tmp_path).transcribe(CANARY, "en")
    _assert_dummy(result, "FileNotFoundError", "without weights")


def test_a_model_that_is_removed_after_it_was_loaded_and_put_back(
    make: Make, model: Path, log_lines: list[str], watch: Watch
) -> None:
    stt = make(model)
    _assert_works(stt)
    away = model.rename(model.with_name("away"))
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    _assert_dummy(result, "FileNotFoundError", f"{model} not found")
    assert _stt(log_lines, told) == _lines_of_load(result)
    assert stt.ready is False
    away.rename(model)
    told = len(log_lines)
    _assert_works(stt)
    assert stt.ready is True
    assert [line.partition(" (")[0] for line in _stt(log_lines, told)] == [
        "INFO - [STT] 음성 변환 시작",
        "INFO - [STT] 모델 로드 시작",
        "INFO - [STT] 모델 로드 완료",
        "INFO - [STT] 음성 변환 완료",
    ]
    assert watch.count(Stage.STT, "settled") == 3


def _half(path: Path) -> None:
    _change(path, path.read_bytes()[: path.stat().st_size // 2])


def _change(path: Path, data: bytes) -> None:
    path.unlink()  # it may be a link to the real weights
    path.write_bytes(data)


def _flip(place: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place] ^= 0xFF
        _change(path, data)

    return damage


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str, bool]] = {
    # name: file, what happens to it, error_type, whether loading was begun
    "weights cut in half": ("model.bin", _half, "ModelDamaged", False),
    "weights emptied": ("model.bin", lambda p: _change(p, b""), "ModelDamaged", False),
    "weights are text": ("model.bin", lambda p: _change(p, b"404\n"), "ModelDamaged", False),
    "version flipped": ("model.bin", _flip(0), "ModelDamaged", False),
    "name length flipped": ("model.bin", _flip(4), "ModelDamaged", False),
    "revision flipped": ("model.bin", _flip(20), "TranscriptionFailed", True),
    "no tokenizer": ("tokenizer.json", Path.unlink, "ModelDamaged", False),
    "half a tokenizer": ("tokenizer.json", _half, "ModelDamaged", False),
    "another tokenizer": (
        "tokenizer.json", lambda p: _change(p, b"{}"), "TranscriptionFailed", True,
    ),
    "no vocabulary": ("vocabulary.txt", Path.unlink, "ModelDamaged", False),
    "no config": ("config.json", Path.unlink, "ModelDamaged", False),
    "config of another model": (
        "config.json", lambda p: _change(p, b"{}"), "ModelDamaged", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DAMAGES))
def test_a_damaged_model(
    make: Make, model: Path, whisper_base: Path, log_lines: list[str], name: str
) -> None:
    file, damage, error_type, started = DAMAGES[name]
    damage(model / file)
    stt = make(model)  # and does not raise
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    _assert_dummy(result, error_type)
    if error_type == "ModelDamaged":
        assert file in (result["error"] or "")
        assert "model fetch" in (result["error"] or "")
    lines = _stt(log_lines, told)
    if any("모델 로드 완료" in line for line in lines) or stt.ready:
        assert lines[-4:] == _lines_of(result, "faster-whisper")[1:]  # broke while transcribing
    else:
        assert lines == _lines_of_load(result, model, started=started)


def test_a_damaged_model_that_is_put_right_works_without_a_restart(
    make: Make, model: Path, whisper_base: Path
) -> None:
    _half(model / "model.bin")
    stt = make(model)
    _assert_dummy(stt.transcribe(CANARY, "en"), "ModelDamaged", "cut short")
    (model / "model.bin").unlink()
    (model / "model.bin").symlink_to((whisper_base / "model.bin").resolve())
    _assert_works(stt)


def test_a_mel_count_of_another_model(make: Make, model: Path) -> None:
    (model / "preprocessor_config.json").write_text('{"feature_size": 128}')
    result = make(model).transcribe(CANARY, "en")
    _assert_dummy(result, "ModelDamaged", "128 mel bands", "80")


@pytest.mark.parametrize(
    "settings",
    [{"feature_size": 80, "hop_length": 0}, {"feature_size": 80, "n_fft": "wide"}],
)
def test_the_constructor_does_not_raise_for_whatever_a_library_makes_of_a_file(
    model: Path, settings: dict[str, object]
) -> None:
    (model / "preprocessor_config.json").write_text(json.dumps(settings))
    stt = WhisperSTT(model, backends=ONLY, observers=())
    try:
        result = stt.transcribe(CANARY, "en")
        assert result["is_dummy"] is True
        assert result["error_type"] not in {None, "ChildDefect"}
    finally:
        stt.close()


# 2. Memory --------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux only")


@linux
@pytest.mark.parametrize("memory_mb", [64, 150, 550])
def test_too_little_memory_to_load(
    make: Make, whisper_base: Path, log_lines: list[str], memory_mb: int
) -> None:
    stt = make(whisper_base, limits=Limits(worker_memory_mb=memory_mb), preload=False)
    result = stt.transcribe(CANARY, "en")
    if result["error_type"] != "WorkerDied":  # a library may abort instead of raising
        _assert_dummy(result, "MemoryError")
        assert _stt(log_lines) == _lines_of_load(result, whisper_base, started=True)
    _assert_dummy(result, result["error_type"] or "")
    assert stt.ready is False
    _assert_works(make(whisper_base))


@linux
def test_memory_that_runs_out_while_transcribing(
    make: Make, whisper_base: Path, log_lines: list[str]
) -> None:
    """The ceiling is put on the running child, just above what the loaded model takes."""
    import resource  # noqa: PLC0415

    stt = make(whisper_base)
    pid = _pid(stt)
    room = psutil.Process(pid).memory_info().vms + (2 << 20)
    resource.prlimit(pid, resource.RLIMIT_AS, (room, room))
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    assert result["error_type"] in {"MemoryError", "WorkerDied"}
    _assert_dummy(result, result["error_type"] or "")
    assert _stt(log_lines, told) == _lines_of(result, "faster-whisper")
    if psutil.pid_exists(pid):  # it answered with an error and lives on under its ceiling
        os.kill(pid, signal.SIGKILL)
        _until(lambda: not stt.ready, "the old child is gone")
    _assert_works(stt)


@linux
def test_too_little_memory_for_the_decoder(make: Make, whisper_base: Path) -> None:
    stt = make(whisper_base, limits=Limits(decoder_memory_mb=100), preload=False)
    result = stt.transcribe(CANARY, "en")
    assert result["error_type"] in {"MemoryError", "WorkerDied"}
    _assert_dummy(result, result["error_type"] or "")
    assert [attempt["backend"] for attempt in result["attempts"]] == ["audio"]


@linux
def test_no_file_descriptor_left_in_the_server(tmp_path: Path) -> None:
    """Real exhaustion, in a process of its own: a dummy that says so, and well again after."""
    code = f"""
import json, os, resource
from stt_engine import WhisperSTT
stt = WhisperSTT({str(tmp_path / "none")!r}, preload=False)
first = stt.transcribe({str(CANARY)!r}, "en")
stt.close()
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
second = stt.transcribe({str(CANARY)!r}, "en")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
third = stt.transcribe({str(CANARY)!r}, "en")
print(json.dumps([first, second, third]))
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=BOUND, check=True, env=env, cwd=tmp_path,
    )  # fmt: skip
    first, second, third = json.loads(ended.stdout)
    _assert_dummy(second, "WorkerDied", "cannot be started", "Too many open files")
    assert "Traceback" not in ended.stderr
    assert first["duration"] == third["duration"] > 3  # the decoder is well again


# 3. The device ----------------------------------------------------------------------------


@pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(make: Make, whisper_base: Path, log_lines: list[str]) -> None:
    stt = make(whisper_base, device="cuda")
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    _assert_dummy(result, "DeviceUnavailable", "CUDA")
    assert _stt(log_lines, told) == _lines_of_load(result, whisper_base, started=True)
    _assert_works(make(whisper_base))


def test_a_device_that_nobody_knows(make: Make, whisper_base: Path) -> None:
    result = make(whisper_base, device="tpu").transcribe(CANARY, "en")
    _assert_dummy(result, "DeviceUnavailable", "tpu")


# 4. The recording -------------------------------------------------------------------------

RECORDINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _path: None, "FileNotFoundError"),
    "a folder": (Path.mkdir, "AudioUnreadable"),
    "a fifo": (os.mkfifo, "AudioUnreadable"),
    "empty": (sounds.zero_bytes, "AudioEmpty"),
    "no samples": (sounds.header_only_wav, "AudioEmpty"),
    "text": (sounds.text_as_wav, "NotAudio"),
    "cut": (sounds.truncated_wav, "AudioTruncated"),
    "too long": (lambda path: sounds.silence(path, 100.0), "AudioTooLong"),
    "too large": (lambda path: sounds.write_wav(path, _loud(), 48_000), "AudioTooLarge"),
}


def _loud() -> sounds.Samples:
    return sounds.np.zeros((48_000 * 60, 2))


@pytest.fixture(scope="module")
def plain(whisper_base: Path) -> Iterator[WhisperSTT]:
    """One loaded engine for all recordings; its lines go to the log as usual."""
    from stt_engine.speech import AudioLimits  # noqa: PLC0415

    limits = Limits(audio=AudioLimits(max_bytes=10_000_000, max_duration_sec=99.0))
    found = WhisperSTT(whisper_base, backends=ONLY, limits=limits)
    yield found
    found.close()


@pytest.mark.parametrize("kind", list(RECORDINGS))
def test_a_recording_that_cannot_be_used(
    plain: WhisperSTT, tmp_path: Path, log_lines: list[str], kind: str
) -> None:
    write, error_type = RECORDINGS[kind]
    path = tmp_path / "call.wav"
    write(path)
    result = plain.transcribe(path, "en")
    _assert_dummy(result, error_type)
    assert result["duration"] == 0
    assert [attempt["backend"] for attempt in result["attempts"]] == ["audio"]
    assert _stt(log_lines) == _lines_of(result, "audio")
    assert plain.ready is True  # the model was not touched


def test_a_name_that_forges_a_log_line(plain: WhisperSTT, log_lines: list[str]) -> None:
    result = plain.transcribe("/none/x\n[2026-02-20 10:15:30] INFO - [STT] forged\0.wav", "en")
    _assert_dummy(result, "FileNotFoundError")
    assert not any("\n" in line or line.startswith("INFO - [STT] forged") for line in log_lines)


def test_the_callers_mistakes_can_be_passed_on_instead(
    plain: WhisperSTT, tmp_path: Path, log_lines: list[str]
) -> None:
    request = SpeechRequest(tmp_path / "none.wav")
    with pytest.raises(AudioRejected, match="not found"):
        plain.recognise(request, passes=(AudioRejected,))
    assert _stt(log_lines) == ["INFO - [STT] 음성 변환 시작 (language=ko)"]


def test_a_probe_is_not_a_call(plain: WhisperSTT, log_lines: list[str]) -> None:
    outcome = plain.recognise(SpeechRequest(CANARY, "en"), counted=False)
    assert outcome.source == "faster-whisper"
    assert _stt(log_lines) == []


# 5. The process ---------------------------------------------------------------------------


def _pid(stt: WhisperSTT) -> int:
    (pid,) = (one.pid for one in stt.components() if one.name == "faster-whisper")
    assert pid is not None
    return pid


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + BOUND
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"never came true: {what}")
        time.sleep(0.01)


@pytest.fixture(scope="module")
def long_call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call of several steps, in one of which something can happen: 60 stretches of speech."""
    file = tmp_path_factory.mktemp("long") / "call.wav"
    file.write_bytes(sounds.repeated(CANARY.read_bytes(), 60))
    return file


def _meanwhile(
    stt: WhisperSTT, watch: Watch, path: Path, act: Callable[[], object]
) -> TranscribeResult:
    """Start a call, do ``act`` once the model has heard its first words, and give the answer."""
    watch.heard.clear()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(stt.transcribe, path, "en")
        assert watch.heard.wait(BOUND), call.result(0) if call.done() else "nothing was heard"
        act()
        return call.result(BOUND)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_the_transcribing_process_crashes_in_mid_call(
    make: Make, whisper_base: Path, long_call: Path, log_lines: list[str], watch: Watch, name: str
) -> None:
    stt = make(whisper_base)
    pid, told = _pid(stt), len(log_lines)

    def crash() -> None:
        process = stopped_in_a_step(stt)
        process.send_signal(signal.Signals[name])
        process.resume()  # only SIGKILL ends a process that is stopped

    result = _meanwhile(stt, watch, long_call, crash)
    _assert_dummy(result, "WorkerDied", f"signal {name}")
    assert result["duration"] > 300
    assert _stt(log_lines, told) == _lines_of(result, "faster-whisper")
    assert stt.ready is False
    assert not psutil.pid_exists(pid)
    _assert_works(stt)
    assert _pid(stt) != pid


def test_the_transcribing_process_hangs_in_mid_call(
    make: Make, whisper_base: Path, long_call: Path, log_lines: list[str], watch: Watch
) -> None:
    stt = make(whisper_base, limits=Limits(stall_timeout_sec=3.0))
    pid, told = _pid(stt), len(log_lines)
    result = _meanwhile(stt, watch, long_call, lambda: stopped_in_a_step(stt))
    _assert_dummy(result, "DeadlineExceeded", "silent for 3 s")
    assert _stt(log_lines, told) == _lines_of(result, "faster-whisper")
    assert not psutil.pid_exists(pid)
    _assert_works(stt)


def test_a_process_that_was_stopped_between_calls_costs_no_call(
    make: Make, whisper_base: Path
) -> None:
    stt = make(whisper_base, limits=Limits(stall_timeout_sec=3.0))
    pid = _pid(stt)
    os.kill(pid, signal.SIGSTOP)
    _until(lambda: "stalled" in {one.state for one in stt.components()}, "the stall is seen")
    _assert_works(stt)
    assert _pid(stt) != pid


def test_a_call_that_takes_too_long_is_ended_at_its_bound(
    make: Make, whisper_base: Path, sample_call: Path, log_lines: list[str]
) -> None:
    limits = Limits(min_transcribe_sec=1.0, max_realtime_factor=0.01)
    stt = make(whisper_base, limits=limits)
    told = len(log_lines)
    began = time.monotonic()
    result = stt.transcribe(sample_call, "en")
    assert time.monotonic() - began < BOUND / 2
    _assert_dummy(result, "DeadlineExceeded", "no answer within 1 s")
    assert _stt(log_lines, told) == _lines_of(result, "faster-whisper")
    assert stt.ready is False


def test_the_decoder_dies_in_mid_call(
    make: Make, whisper_base: Path, tmp_path: Path, watch: Watch, log_lines: list[str]
) -> None:
    long = sounds.white_noise(tmp_path / "long.wav", 1_800.0, 8_000)
    stt = make(whisper_base, preload=False)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(stt.transcribe, long, "en")
        _until(lambda: stt.components()[0].state == "busy", "the decoder works")
        pid = stt.components()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        result = call.result(BOUND)
    _assert_dummy(result, "WorkerDied", "audio worker died (signal SIGKILL)")
    assert _stt(log_lines) == _lines_of(result, "audio")
    _assert_works(stt)


def test_closing_in_mid_call_answers_the_caller(
    make: Make, whisper_base: Path, long_call: Path, watch: Watch
) -> None:
    """Between two steps it would begin again in the next process: this is in the middle of one."""
    stt = make(whisper_base)

    def close() -> None:
        stopped_in_a_step(stt)
        stt.close()

    result = _meanwhile(stt, watch, long_call, close)
    _assert_dummy(result, "WorkerDied")


def test_who_waits_behind_a_call_that_crashed_is_answered_by_the_model(
    make: Make, whisper_base: Path, long_call: Path, watch: Watch
) -> None:
    stt = make(whisper_base)
    watch.heard.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(stt.transcribe, long_call, "en")
        assert watch.heard.wait(BOUND)
        process = stopped_in_a_step(stt)
        second = pool.submit(stt.transcribe, CANARY, "en")
        process.kill()
        _assert_dummy(first.result(BOUND), "WorkerDied")
        assert second.result(BOUND)["success"] is True


def test_health_is_told_while_a_call_runs(
    make: Make, whisper_base: Path, long_call: Path, watch: Watch
) -> None:
    stt = make(whisper_base)
    seen: list[str] = []

    def look() -> None:
        seen.extend(one.state for one in stt.components() if one.name == "faster-whisper")
        os.kill(_pid(stt), signal.SIGKILL)  # no need to wait for the end

    _meanwhile(stt, watch, long_call, look)
    assert seen == ["busy"]


# The chain --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        ("faster-whisper", "transformers", "openai-whisper"),
        ("openai-whisper", "transformers", "faster-whisper"),
        ("transformers", "faster-whisper"),
    ],
)
def test_every_backend_is_tried_in_the_order_of_the_setting(
    make: Make, tmp_path: Path, order: tuple[str, ...], log_lines: list[str]
) -> None:
    """A folder in the format of each, and no weights behind any of them."""
    model_files.faster_whisper_folder(tmp_path / "m" / "faster-whisper")
    model_files.transformers_folder(tmp_path / "m" / "transformers")
    model_files.openai_whisper_folder(tmp_path / "m" / "openai-whisper")
    stt = make(tmp_path / "m", backends=order, preload=False)
    result = stt.transcribe(CANARY, "en")
    assert [attempt["backend"] for attempt in result["attempts"]] == list(order)
    real = [one for one in result["attempts"] if one["error_type"] != "BackendUnavailable"]
    assert "faster-whisper" in {one["backend"] for one in real}
    _assert_dummy(result, real[0]["error_type"], real[0]["error"])
    failed = [line for line in _stt(log_lines) if "모델 로드 실패" in line]
    assert len(failed) == len(real)


def test_a_format_that_is_absent_is_recorded_and_never_the_cause(make: Make, model: Path) -> None:
    _half(model / "model.bin")
    order = ("transformers", "openai-whisper", "faster-whisper")
    result = make(model, backends=order, preload=False).transcribe(CANARY, "en")
    _assert_dummy(result, "ModelDamaged", "model.bin")
    assert [(one["backend"], one["error_type"]) for one in result["attempts"]] == [
        ("transformers", "ModelFormatAbsent"),
        ("openai-whisper", "ModelFormatAbsent"),
        ("faster-whisper", "ModelDamaged"),
    ]


def test_a_success_keeps_the_failures_on_the_way(make: Make, whisper_base: Path) -> None:
    order = ("transformers", "faster-whisper")
    result = make(whisper_base, backends=order).transcribe(CANARY, "en")
    assert result["success"] is True
    assert result["backend"] == "faster-whisper"
    assert [one["backend"] for one in result["attempts"]] == ["transformers"]
    assert (result["error"], result["error_type"]) == (None, None)


def test_the_model_is_found_in_the_backends_own_folder(make: Make, model: Path) -> None:
    shutil.move(model, model.parent / "all" / "faster-whisper")
    _assert_works(make(model.parent / "all"))


def test_a_relative_model_path_is_found_from_a_child_of_another_folder(
    make: Make, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    _assert_works(make(Path(model.name)))
