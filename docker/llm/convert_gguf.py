"""Make a model folder that vLLM can serve out of a GGUF file, which it does not read on a CPU."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from log_lines import LOG
from settings import Refused

GIB = 1 << 30


def converted(gguf: Path, into: Path) -> Path:
    """Return the folder of the model in ``gguf``, converted now where no earlier start did it."""
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        needs = " and ".join(missing)
        raise Refused(f"vLLM needs {gguf} converted, which this image cannot do (no {needs})")
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = into / f"{gguf.stem}-{digest[:12]}"
    if folder.exists():
        LOG.info("converted at an earlier start: %s", folder)
        return folder
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _only_one(into):
            if not folder.exists():
                _convert(gguf, folder)
    except OSError as exc:
        raise Refused(f"cannot convert {gguf}: {exc} (is a volume mounted at /cache?)") from exc
    except Exception as exc:
        raise Refused(f"transformers cannot read {gguf}: {type(exc).__name__}: {exc}") from exc
    return folder


@contextlib.contextmanager
def _only_one(into: Path) -> Iterator[None]:
    """Keep other containers on the same volume from converting too."""
    with (into / ".lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.info("another container converts on this volume: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _convert(gguf: Path, folder: Path) -> None:
    """Write beside the place, and move there as a whole: a half model is never served."""
    half = folder.with_name(f".half-{folder.name}")
    shutil.rmtree(half, ignore_errors=True)  # left by a start that was killed
    LOG.info("converting %s for vLLM, once; this takes a minute or more", gguf)
    begun = time.monotonic()
    try:
        _dequantise(gguf, half)
        os.sync()  # before the rename says that it is complete
        half.rename(folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    size = sum(file.stat().st_size for file in folder.iterdir())
    LOG.info("converted to %s (%.2f GiB) in %.0f s", folder, size / GIB, time.monotonic() - begun)


def _dequantise(gguf: Path, folder: Path) -> None:
    """Read with transformers, and save in bfloat16."""
    import torch  # noqa: PLC0415 - heavy, and in one image only
    import transformers  # noqa: PLC0415

    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    LOG.info("1/3 reading the tokenizer")
    transformers.AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    LOG.info("2/3 reading the weights")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        **source,
        dtype=torch.bfloat16,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )
    LOG.info("3/3 writing the weights")
    model.save_pretrained(folder)
