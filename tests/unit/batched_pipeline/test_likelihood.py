"""How likely a text is by the sound alone."""

from __future__ import annotations

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper.model import FasterWhisper
from stt_engine.backends.hinted import MOST_LOSS, Listens


def test_what_was_said_is_likelier_than_what_only_sounds_like_it(
    model: FasterWhisper, canary: SpeechChunk
) -> None:
    assert isinstance(model, Listens)
    said = "This is a test of the speech recognition service."
    others = [said.replace("speech", "peach"), said.replace("test", "toast")]
    first, *worse = model.log_likelihoods(canary, [said, *others])
    assert all(first - one > MOST_LOSS for one in worse), (first, worse)
    assert model.log_likelihoods(canary, [said]) == [first]
