"""Music and tones are no voices: by how steady they are, whatever part they are looked at in."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.speakers.calls import _music, _ringing, _telephone
from evaluation.speakers.voices import read_voices
from stt_engine.backends.voices.embedder import _sound
from stt_engine.backends.voices.features import log_mel
from stt_engine.backends.voices.steadiness import Steadiness, is_voice
from stt_engine.backends.voices.turns import tell_apart
from tests.support.server import ROOT
from tests.unit.voices.test_turns import embeddings

RNG = np.random.default_rng(4)


def looked(sound: np.ndarray, part: int = 1_200) -> np.ndarray:
    features = log_mel(_telephone(sound, None, RNG)).astype(np.float16)
    found = Steadiness(_sound(features))
    for at in range(0, len(features), part):
        found.add(features[at : at + part])
    return found.around(np.arange(0, len(features), 25))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    (voice,) = (
        one for one in read_voices(ROOT / "src/stt_engine/assets") if one.name.startswith("canary")
    )
    return np.tile(voice.utterances[0], 3)


def test_speech_may_be_a_voice_and_music_and_tones_are_none(speech: np.ndarray) -> None:
    assert is_voice(looked(speech))
    assert not is_voice(looked(_music(10.0, RNG)))
    assert not is_voice(looked(_ringing(10.0)))


def test_in_parts_it_is_the_same(speech: np.ndarray) -> None:
    features = log_mel(speech).astype(np.float16)
    sums = []
    for part in (len(features), 130, 7):
        found = Steadiness(_sound(features))
        for at in range(0, len(features), part):
            found.add(features[at : at + part])
        sums.append(found.around(np.arange(0, len(features), 25)))
    assert np.allclose(sums[0], sums[1], atol=1e-4)
    assert np.allclose(sums[0], sums[2], atol=1e-4)


def test_silence_is_nothing_steady() -> None:
    found = Steadiness(np.zeros(200, bool))
    found.add(np.zeros((200, 80), np.float16))
    assert found.around(np.array([0, 199])).tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_a_voice_beside_music_is_one_voice_and_the_music_is_nobodys() -> None:
    course = [0] * 40 + [1] * 60 + [0] * 40
    steady = np.where(np.array(course)[:, None] == 1, (0.5, 0.9), (0.9, 0.5)).astype(np.float32)
    follows = np.ones(len(course), bool)
    assert tell_apart(embeddings(course), follows).voices == 2
    told = tell_apart(embeddings(course), follows, steady)
    assert told.voices in {1, None}
    assert set(told.probability[40:100].tolist()) == {0.5}
