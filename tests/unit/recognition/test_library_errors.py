"""Errors of the libraries become the taxonomy's."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.backends.base import RawSegment
from stt_engine.backends.recognition import model_operations
from stt_engine.errors import (
    DeviceUnavailable,
    EmptyTranscript,
    EngineError,
    OutOfMemory,
    TranscriptionFailed,
)
from stt_engine.native_errors import native_errors
from tests.support.stub_model import FakeModel, channel_at, job_of


# Operations and native errors -------------------------------------------------------------
def test_loading_again_replaces_the_model(tmp_path: Path) -> None:
    models = [
        FakeModel([[RawSegment(0, 1, text)]], facts={"device": text}) for text in ("old", "new")
    ]
    operations = model_operations(lambda job: models[job["number"]])
    job = job_of(channel_at(tmp_path / "a", (1, 2)))
    for number, text in enumerate(("old", "new")):
        operations["load"]({"number": number, "facts": {"model": "here"}})
        first, second, *_ = operations["transcribe"](job, 1)
        facts = first["provenance"]
        assert (facts["device"], facts["model"]) == (text, "here")
        assert facts["engine_version"]
        assert second["segments"][0]["text"] == text


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemory),
        (RuntimeError("mkl_malloc: failed to allocate memory"), OutOfMemory),
        (RuntimeError("std::bad_alloc"), OutOfMemory),
        (ImportError("x.so: failed to map segment from shared object"), OutOfMemory),
        (ImportError("x.so: cannot allocate memory in static TLS block"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("CUDA driver version is insufficient"), DeviceUnavailable),
        (ValueError("unsupported device tpu"), DeviceUnavailable),
        (RuntimeError("something else"), TranscriptionFailed),
        (KeyError("lang_ids"), TranscriptionFailed),
        (Exception("Model missing. at line 1 column 2"), TranscriptionFailed),
    ],
)
def test_the_libraries_words_become_the_taxonomys_names(
    raised: Exception, named: type[EngineError]
) -> None:
    with pytest.raises(named) as caught, native_errors():
        raise raised
    assert type(caught.value) is named
    assert caught.value.__cause__ is raised
    assert str(raised) in str(caught.value) or isinstance(raised, MemoryError)


def test_what_a_library_stumbled_over_names_the_error_and_not_its_guess() -> None:
    """faster-whisper says "requires the onnxruntime package" when its import ran out of memory."""
    guess = RuntimeError("Applying the VAD filter requires the onnxruntime package")
    guess.__cause__ = ImportError("x.so: failed to map segment from shared object")
    with (
        pytest.raises(OutOfMemory, match=r"onnxruntime package.*failed to map"),
        native_errors(),
    ):
        raise guess


@pytest.mark.parametrize("kind", [TypeError, AttributeError, AssertionError])
def test_our_own_defects_are_not_given_a_librarys_name(kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, native_errors():
        raise kind("a bug")
    assert caught.type is kind


def test_a_named_error_keeps_its_name() -> None:
    with pytest.raises(EmptyTranscript), native_errors():
        raise EmptyTranscript("x")
