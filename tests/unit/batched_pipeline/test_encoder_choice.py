"""Which encoder is used, and the reason that is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper import batched
from stt_engine.backends.faster_whisper import model as module
from stt_engine.backends.faster_whisper.batched import (
    Features,
)
from stt_engine.backends.faster_whisper.model import (
    PAYS,
)
from stt_engine.backends.faster_whisper.openvino.encoder import Form
from stt_engine.backends.faster_whisper.openvino.graph import OpenVinoUnavailable
from stt_engine.errors import DeviceUnavailable
from tests.support.batched_pipeline import WORDS, StubEncoder, loaded, words_of


# Whose encoder ----------------------------------------------------------------------------
def test_ctranslate2s_own_encoder_is_taken_where_it_is_asked_for(
    whisper_base: Path, canary: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_encoder", lambda *_, **__: pytest.fail("opened"))
    found = loaded(whisper_base)
    assert found.facts["encoder"] == "ctranslate2"
    assert "encoder_reason" not in found.facts
    assert words_of(found.transcribe([canary])[0]) == WORDS


def _unavailable(*_: object, **__: object) -> None:
    raise OpenVinoUnavailable("the CPU has no such units")


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with which the other encoder pays, whatever this one has."""
    monkeypatch.setattr(module, "possible_form", lambda *_: PAYS)


@pytest.mark.usefixtures("units")
def test_where_the_other_encoder_cannot_be_had_the_reason_is_told(
    whisper_base: Path, canary: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_encoder", _unavailable)
    found = loaded(whisper_base, encoder="auto")
    assert found.facts["encoder"] == "ctranslate2"
    assert found.facts["encoder_reason"] == "the CPU has no such units"
    assert words_of(found.transcribe([canary])[0]) == WORDS


@pytest.mark.usefixtures("units")
def test_an_encoder_that_was_asked_for_and_cannot_be_had_is_a_failure(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_encoder", _unavailable)
    with pytest.raises(DeviceUnavailable, match="openvino: the CPU has no such units"):
        loaded(whisper_base, encoder="openvino")


@pytest.mark.usefixtures("units")
def test_the_other_encoder_is_used_where_it_can_be_had(
    whisper_base: Path, library: Any, canary: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    native, used = batched.NativeEncoder(library), []

    class Other(StubEncoder):
        def encode(self, features: Features) -> Features:
            used.append(features.shape)
            return native.encode(features)

    monkeypatch.setattr(module, "open_encoder", lambda *_, **__: Other())
    found = loaded(whisper_base, encoder="auto")
    assert found.facts["encoder"] == "stub"
    assert found.alone is not None
    found.alone.wait()  # it encodes, too, while it is built
    used.clear()
    assert words_of(found.transcribe([canary])[0]) == WORDS
    assert len(used) == 1


def test_for_many_stretches_openvino_is_used_only_where_it_is_faster(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "possible_form", lambda *_: Form("int8", "f32"))
    monkeypatch.setattr(module, "open_encoder", lambda *_, **__: StubEncoder())
    found = loaded(whisper_base, encoder="auto")
    assert found.facts["encoder"] == "ctranslate2"
    assert found.facts["encoder_reason"] == "for one stretch only: for many, int8-f32 is no faster"
