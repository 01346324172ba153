"""Fixtures of the tests of a recognition job."""

from __future__ import annotations

import pytest

from stt_engine.backends import recognition
from tests.support.stub_model import loud_spans


@pytest.fixture(autouse=True)
def loud_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every stretch of samples that are not zero for speech, in place of Silero."""
    monkeypatch.setattr(recognition, "speech_spans", loud_spans)
