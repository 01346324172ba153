"""Fixtures of the tests of the OpenVINO decoder."""

from __future__ import annotations

import pytest

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper.openvino.encoder import known_samples


@pytest.fixture
def clip() -> SpeechChunk:
    return SpeechChunk(known_samples(), "en", "transcribe")
