"""OpenAI's audio API, asked by OpenAI's own client: its types, its errors, its retries."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import srt
import webvtt
from openai.types import Model
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

from stt_engine.backends.hinted import letters_in
from tests.support.in_process import CANARY_WORDS
from tests.support.server import ApiServer
from tests.support.sounds import silence

OWN = "Systran/faster-whisper-base"


@pytest.fixture(scope="module")
def client(server: ApiServer) -> Iterator[openai.OpenAI]:
    http = httpx2.Client(trust_env=False)
    with openai.OpenAI(
        base_url=f"{server.base}/v1",
        api_key="none",
        max_retries=0,
        _strict_response_validation=True,
        http_client=http,
    ) as found:
        yield found


@pytest.fixture
async def asynchronous(server: ApiServer) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx2.AsyncClient(trust_env=False)
    async with openai.AsyncOpenAI(
        base_url=f"{server.base}/v1",
        api_key="none",
        max_retries=0,
        _strict_response_validation=True,
        http_client=http,
    ) as found:
        yield found


@pytest.fixture(scope="module")
def call(canary: bytes) -> dict[str, Any]:
    return {"model": "whisper-1", "file": ("call.wav", canary)}


def test_json(client: openai.OpenAI, call: dict[str, Any]) -> None:
    found = client.audio.transcriptions.create(**call)
    assert isinstance(found, Transcription)
    assert CANARY_WORDS in found.text.lower()
    assert found.languages is not None
    assert [one.code for one in found.languages] == ["en"]
    assert found.usage is not None
    assert found.usage.type == "duration"
    assert found.usage.seconds == pytest.approx(3.16)
    assert found.model_extra is not None
    beside = found.model_extra["stt_engine"]
    assert (beside["outcome"], beside["coverage"]["share"], beside["warnings"]) == (
        "speech",
        1.0,
        [],
    )


async def test_json_without_waiting(asynchronous: openai.AsyncOpenAI, call: dict[str, Any]) -> None:
    found = await asynchronous.audio.transcriptions.create(**call, language="en")
    assert CANARY_WORDS in found.text.lower()


def test_the_answer_says_its_id_and_its_coverage(
    client: openai.OpenAI, call: dict[str, Any]
) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        **call, response_format="text", extra_headers={"X-Request-ID": "mine-1"}
    )
    assert raw.request_id == "mine-1"
    assert raw.headers["x-stt-coverage"] == "1"
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert CANARY_WORDS in raw.text.lower()


@pytest.mark.parametrize(
    ("granularities", "has"),
    [
        ([], (True, False)),
        (["segment"], (True, False)),
        (["word"], (False, True)),
        (["word", "segment"], (True, True)),
    ],
)
def test_verbose_json(
    client: openai.OpenAI, call: dict[str, Any], granularities: Any, has: tuple[bool, bool]
) -> None:
    more = {"timestamp_granularities": granularities} if granularities else {}
    found = client.audio.transcriptions.create(**call, response_format="verbose_json", **more)
    assert isinstance(found, TranscriptionVerbose)
    assert (found.language, found.duration) == ("english", pytest.approx(3.16))
    assert (found.segments is not None, found.words is not None) == has
    for segment in found.segments or ():
        assert 0 <= segment.start < segment.end <= found.duration
        assert segment.avg_logprob < 0
        assert segment.compression_ratio > 0
    if found.words:
        assert " ".join(one.word for one in found.words) == found.text
    assert found.model_extra is not None
    assert set(found.model_extra["stt_engine"]["not_given"]) == {"seek", "tokens", "no_speech_prob"}


def test_diarized_json(client: openai.OpenAI, call: dict[str, Any]) -> None:
    found = client.audio.transcriptions.create(
        **call, response_format="diarized_json", chunking_strategy="auto"
    )
    assert isinstance(found, TranscriptionDiarized)
    assert [one.speaker for one in found.segments] == ["unknown"]
    assert found.segments[0].text == found.text


def test_subtitles(client: openai.OpenAI, call: dict[str, Any]) -> None:
    as_srt = client.audio.transcriptions.create(**call, response_format="srt")
    (cue,) = srt.parse(as_srt, ignore_errors=False)
    assert CANARY_WORDS in cue.content.replace("\n", " ").lower()
    as_vtt = client.audio.transcriptions.create(**call, response_format="vtt")
    (caption,) = webvtt.from_string(as_vtt)
    assert CANARY_WORDS in caption.text.replace("\n", " ").lower()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_translation(client: openai.OpenAI, call: dict[str, Any]) -> None:
    found = client.audio.translations.create(**call)
    assert isinstance(found, Translation)
    assert CANARY_WORDS in found.text.lower()
    text = client.audio.translations.create(**call, response_format="text")
    assert text == f"{found.text}\n"
    (cue,) = srt.parse(client.audio.translations.create(**call, response_format="srt"))
    assert cue.content.replace("\n", " ") == found.text
    timed = client.audio.translations.create(**call, response_format="verbose_json")
    assert isinstance(timed, TranslationVerbose)
    assert timed.model_extra is not None
    assert timed.model_extra["task"] == "translate"
    assert timed.segments
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.translations.create(**call, prompt="names")
    assert (caught.value.param, caught.value.code) == ("prompt", "unsupported_parameter")


def test_keywords_and_a_prompt_are_used(client: openai.OpenAI, call: dict[str, Any]) -> None:
    plain = client.audio.transcriptions.create(**call, language="en")
    found = client.audio.transcriptions.create(
        **call, language="en", keywords=["Kensington", "Speech Recognition"], prompt="A test."
    )
    assert letters_in(found.text) == letters_in(plain.text)
    assert found.model_extra is not None
    hints = found.model_extra["stt_engine"]["hints"]
    assert (hints["prompt"], hints["keywords"], hints["refused"]) == (True, 2, [])
    assert hints["same"] + len(hints["taken"]) == 1
    drawn = client.audio.transcriptions.create(
        **call, language="en", temperature=0.2, response_format="verbose_json"
    )
    assert drawn.segments is not None
    assert drawn.segments[0].temperature == 0.2


def test_silence_is_said_to_be_silence(client: openai.OpenAI, tmp_path: Path) -> None:
    file = silence(tmp_path / "silence.wav")
    raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=file)
    assert raw.headers["x-stt-warnings"] == "no_speech"
    found = raw.parse()
    assert (found.text, found.languages) == ("", None)
    assert found.model_extra is not None
    assert found.model_extra["stt_engine"]["outcome"] == "no_speech"
    assert found.model_extra["stt_engine"]["warnings"][0]["code"] == "no_speech"


@pytest.mark.parametrize("name", [OWN, "gpt-transcribe", "base", "faster-whisper-base"])
def test_the_models_names(client: openai.OpenAI, call: dict[str, Any], name: str) -> None:
    assert client.audio.transcriptions.create(**{**call, "model": name}).text


def test_models_are_listed(client: openai.OpenAI) -> None:
    listed = list(client.models.list())
    assert [one.id for one in listed][:2] == [OWN, "whisper-1"]
    assert all(isinstance(one, Model) and one.owned_by == "Systran" for one in listed)
    assert client.models.retrieve(OWN) == listed[0]
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("openai/whisper-9")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("changes", "error", "param", "code"),
    [
        ({"model": "nova"}, openai.NotFoundError, "model", "model_not_found"),
        ({"language": "xx"}, openai.BadRequestError, "language", "invalid_value"),
        ({"keywords": ["금"]}, openai.BadRequestError, "keywords", "invalid_value"),
        ({"include": ["logprobs"]}, openai.BadRequestError, "include", "unsupported_parameter"),
        (
            {"stream": True, "response_format": "srt"},
            openai.BadRequestError,
            "response_format",
            "unsupported_value",
        ),
        ({"extra_body": {"hot": 1}}, openai.BadRequestError, "hot", "unknown_parameter"),
        (
            {"chunking_strategy": {"type": "server_vad", "threshold": 0.4}},
            openai.BadRequestError,
            "chunking_strategy[threshold]",
            "unsupported_parameter",
        ),
        (
            {"known_speaker_names": ["a"], "known_speaker_references": ["data:audio/wav;base64,A"]},
            openai.BadRequestError,
            "known_speaker_names",
            "unsupported_value",
        ),
        ({"file": ("x.wav", b"no audio")}, openai.BadRequestError, "file", "not_audio"),
        ({"file": ("x.wav", b"")}, openai.BadRequestError, "file", "audio_empty"),
        ({"file": ("x.wav", bytes(5_000_000))}, openai.APIStatusError, "file", "body_too_large"),
    ],
)
def test_refusals_have_openais_shape(
    client: openai.OpenAI,
    call: dict[str, Any],
    changes: dict[str, Any],
    error: type[openai.APIStatusError],
    param: str,
    code: str,
) -> None:
    with pytest.raises(error) as caught:
        client.audio.transcriptions.create(**{**call, **changes})
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert set(json.loads(caught.value.response.text)) == {"error"}
