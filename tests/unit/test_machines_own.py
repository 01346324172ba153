"""What the system says about itself is never said about a file, a model or a caller."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from stt_engine.errors import (
    EngineError,
    OutOfMemory,
    ResourcesExhausted,
    StorageUnresponsive,
)
from stt_engine.model_store.folder import fingerprint, locate
from stt_engine.native_errors import native_errors

KINDS = {
    errno.ENOMEM: OutOfMemory,
    errno.EMFILE: ResourcesExhausted,
    errno.ENFILE: ResourcesExhausted,
    errno.ESTALE: StorageUnresponsive,
    errno.ENOTCONN: StorageUnresponsive,
}


@pytest.mark.parametrize(("number", "kind"), KINDS.items(), ids=map(errno.errorcode.get, KINDS))
def test_a_model_folder_that_cannot_be_looked_at_is_not_damaged(
    number: int, kind: type[EngineError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    for look in (lambda: locate(tmp_path, "faster-whisper"), lambda: fingerprint(tmp_path)):
        with pytest.raises(kind, match="cannot be looked at"):
            look()
    with pytest.raises(kind), native_errors():
        refuse()


def test_a_file_that_cannot_be_opened_for_want_of_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 2)
    with pytest.raises(ResourcesExhausted):
        locate(tmp_path, "faster-whisper")
