"""OpenAI's audio API as other programs write it: order of parts, bare names, no client library."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api_server.http.openai.fields import NOT_HONOURED, TRANSCRIPTION
from stt_engine.outcome import Outcome
from stt_engine.speech import Transcript
from stt_engine.warnings import warning
from tests.support.bad_input import assert_problem
from tests.support.in_process import CANARY_WORDS, Running, running

PATH = "/v1/audio/transcriptions"
Part = tuple[str, str | bytes]


def multipart(*parts: Part) -> dict[str, Any]:
    """Return a body whose parts stand in the order given, as curl writes them."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in parts:
        told = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            told += '; filename="call.wav"\r\nContent-Type: audio/x-wav'
        raw = value if isinstance(value, bytes) else value.encode()
        body += f"--{boundary}\r\n{told}\r\n\r\n".encode() + raw + b"\r\n"
    return {
        "content": body + f"--{boundary}--\r\n".encode(),
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    }


async def ask(server: Running, *parts: Part, path: str = PATH) -> httpx2.Response:
    return await server.client.post(path, **multipart(*parts))


@pytest.mark.parametrize("first", [True, False])
async def test_the_file_may_come_first_or_last(
    healthy: Running, canary: bytes, first: bool
) -> None:
    parts: list[Part] = [("model", "whisper-1"), ("language", "en")]
    parts.insert(0 if first else 2, ("file", canary))
    answer = await ask(healthy, *parts)
    assert answer.status_code == 200
    assert CANARY_WORDS in answer.json()["text"].lower()


async def test_file_and_model_alone_are_enough(healthy: Running, canary: bytes) -> None:
    """As Open WebUI asks."""
    answer = await ask(healthy, ("file", canary), ("model", "whisper-1"))
    assert CANARY_WORDS in answer.json()["text"].lower()
    assert answer.headers["content-type"] == "application/json"


async def test_bare_names_of_lists(healthy: Running, canary: bytes) -> None:
    """As LiteLLM and curl users ask."""
    answer = await ask(
        healthy,
        ("file", canary),
        ("model", "whisper-1"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities", "word"),
        ("timestamp_granularities", "segment"),
        ("temperature", "0"),
    )
    assert answer.status_code == 200
    assert answer.json()["words"][0]["word"] == "This"
    assert answer.json()["segments"]


async def test_more_formats_than_openais(healthy: Running, canary: bytes) -> None:
    for name, media_type, start in (
        ("tsv", "text/tab-separated-values", "start\tend\ttext\n0\t"),
        ("lrc", "text/plain", "[00:00.00]This is"),
    ):
        answer = await ask(
            healthy, ("file", canary), ("model", "whisper-1"), ("response_format", name)
        )
        assert answer.headers["content-type"].startswith(media_type)
        assert answer.text.startswith(start)


async def test_two_channels_are_two_speakers(healthy: Running, sample_call: Any) -> None:
    answer = await ask(
        healthy,
        ("file", sample_call.read_bytes()),
        ("model", "whisper-1"),
        ("language", "en"),
        ("response_format", "diarized_json"),
    )
    assert {one["speaker"] for one in answer.json()["segments"]} == {"agent", "customer"}


async def test_personal_data_is_masked_as_everywhere(canary: bytes) -> None:
    async with running(redaction="everywhere") as masking:
        answer = await ask(masking, ("file", canary), ("model", "whisper-1"))
        assert answer.status_code == 200
        plain = await masking.post({"language": "en"}, ("call.wav", canary))
        assert answer.json()["text"] == plain.json()["text"]
        assert plain.json()["provenance"]["masked"] == {}


@pytest.mark.parametrize("path", ["/v1/models/Systran%2Ffaster-whisper-base", "/v1/models/base"])
async def test_a_models_name_may_be_encoded(healthy: Running, path: str) -> None:
    answer = await healthy.client.get(path)
    assert answer.status_code == 200
    assert answer.json()["object"] == "model"


async def test_errors_of_the_framework_have_openais_shape_there_alone(healthy: Running) -> None:
    for method, path, status, code in (
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("GET", PATH, 405, "method_not_supported"),
        ("POST", f"{PATH}?model=x", 400, "bad_field"),
    ):
        answer = await healthy.client.request(method, path)
        assert answer.status_code == status
        told = answer.json()["error"]
        assert set(told) == {"message", "type", "param", "code"}
        assert told["code"] == code
        assert answer.headers["x-request-id"]
    assert_problem(await healthy.client.get("/nothing"), 404, "Not Found")
    as_json = await healthy.client.post(PATH, json={"model": "whisper-1"})
    assert (as_json.status_code, as_json.json()["error"]["code"]) == (415, "unread_content")


async def test_a_form_that_cannot_be_read(healthy: Running) -> None:
    head = {"Content-Type": "multipart/form-data"}
    answer = await healthy.client.post(PATH, content=b"--x", headers=head)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_of_a_form_that_is_cut_nothing_is_left_out(healthy: Running, canary: bytes) -> None:
    """The framework drops the part in which it ends: here the language, which would be guessed."""
    whole = multipart(("file", canary), ("model", "whisper-1"), ("language", "en"))
    cut = {**whole, "content": whole["content"][:-12]}
    answer = await healthy.client.post(PATH, **cut)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")
    assert "cut" in answer.json()["error"]["message"]
    assert_problem(await healthy.client.post("/transcribe", **cut), 400, "cut")


async def test_keys(canary: bytes) -> None:
    named = "monitor:read:a-key-that-only-reads"
    settings = {"api_keys": ["a-key-of-the-test"], "api_named_keys": [named]}
    async with running(ready=False, **settings) as guarded:
        for path in ("/v1/models", "/v1/models/whisper-1"):
            answer = await guarded.client.get(path)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
            head = {"Authorization": "Bearer a-key-of-the-test"}
            assert (await guarded.client.get(path, headers=head)).status_code == 200
            other = {"Authorization": "Bearer a-key-that-only-reads"}
            refused = await guarded.client.get(path, headers=other)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_role")


async def test_the_document_names_every_field_that_is_honoured(healthy: Running) -> None:
    document = (await healthy.client.get("/openapi.json")).json()
    content = document["paths"][PATH]["post"]["requestBody"]["content"]["multipart/form-data"]
    named = {one.removesuffix("[]") for one in content["schema"]["properties"]}
    elsewhere = {"languages", "chunking_strategy[type]"}  # other words for the same
    assert named == TRANSCRIPTION - set(NOT_HONOURED) - elsewhere


async def test_names_are_a_setting(whisper_base: Any) -> None:
    names: dict[str, Any] = {"stt_model_aliases": ["our-model"], "stt_other_models": []}
    async with running(ready=False, **names) as named:
        listed = (await named.client.get("/v1/models")).json()["data"]
        assert [one["id"] for one in listed] == ["Systran/faster-whisper-base", "our-model"]
        assert (await named.client.get("/v1/models/whisper-1")).status_code == 404


@pytest.mark.parametrize("name", ["text", "srt", "vtt", "tsv", "lrc", "verbose_json"])
async def test_a_text_file_on_our_own_road_too(healthy: Running, canary: bytes, name: str) -> None:
    parts: list[Part] = [("file", canary), ("language", "en"), ("format", name)]
    answer = await ask(healthy, *parts, path="/transcribe")
    same = ("response_format", name)
    other = await ask(healthy, ("file", canary), ("language", "en"), ("model", "base"), same)
    if name == "verbose_json":
        assert answer.json() == other.json()
    else:
        assert answer.text == other.text
    for one in ("content-type", "x-stt-coverage"):
        assert answer.headers[one] == other.headers[one]
    english = await ask(healthy, *parts, ("translate", "true"), path="/transcribe")
    assert CANARY_WORDS in english.text.replace("\n", " ").lower()


async def test_no_text_file_of_a_failure_or_a_check(modelless: Running, canary: bytes) -> None:
    parts: list[Part] = [("file", canary), ("format", "srt")]
    answer = await ask(modelless, *parts, path="/transcribe")
    assert (answer.status_code, answer.json()["success"]) == (503, False)
    checked = await ask(
        modelless, *parts, ("incomplete_elements_check", "true"), path="/transcribe"
    )
    assert (checked.status_code, "format" in checked.json()["detail"]) == (400, True)


async def test_a_translation_that_fails_takes_no_transcript_with_it(
    healthy: Running, canary: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognise = healthy.service.stt.recognise

    def untranslated(*args: Any, **options: Any) -> Outcome[Transcript]:
        found = recognise(*args, **options)
        told = (*found.value.warnings, warning("translation_missing", "it came to nothing"))
        return replace(found, value=replace(found.value, text_en="", segments_en=(), warnings=told))

    monkeypatch.setattr(healthy.service.stt, "recognise", untranslated)
    parts: list[Part] = [("file", canary), ("language", "en"), ("translate", "true")]
    answer = await ask(healthy, *parts, path="/transcribe")
    body = answer.json()
    assert (answer.status_code, answer.headers["x-stt-degraded"]) == (200, "translation")
    assert (body["success"], body["is_dummy"], body["outcome"]) == (False, False, "speech")
    assert CANARY_WORDS in body["text"].lower()
    assert body["error_type"] == "TranslationFailed"
    assert body["is_partial_failure"]
    assert "it came to nothing" in body["partial_failure_reason"]
    for more in (("strict", "true"), ("format", "srt")):
        refused = await ask(healthy, *parts, more, path="/transcribe")
        assert (refused.status_code, refused.json()["text"]) == (503, body["text"])
    english = await ask(healthy, parts[0], ("model", "base"), path="/v1/audio/translations")
    assert (english.status_code, english.json()["error"]["code"]) == (503, "TranslationFailed")


async def test_hints_on_our_own_road_too(healthy: Running, canary: bytes) -> None:
    parts: list[Part] = [("file", canary), ("language", "en"), ("translate", "true")]
    words = [("keywords", "Kensington"), ("keywords", "Recognition Service")]
    answer = await ask(healthy, *parts, *words, ("temperature", "0.1"), path="/transcribe")
    body = answer.json()
    assert body["provenance"]["temperature"] == 0.1
    assert body["provenance"]["hints"]["keywords"] == 2
    assert "Kensington" not in body["text"]
    assert body["segments_en"]
    assert body["text_en"]
    wrong = await ask(healthy, *parts, ("keywords", "x"), path="/transcribe")
    assert (wrong.status_code, "keywords" in wrong.json()["detail"]) == (400, True)


@pytest.mark.parametrize("asked", ["true", "false"])
async def test_words_have_times_on_our_own_road_too(
    healthy: Running, canary: bytes, asked: str
) -> None:
    parts: list[Part] = [("file", canary), ("language", "en"), ("word_timestamps", asked)]
    answer = await ask(healthy, *parts, path="/transcribe")
    segments = answer.json()["segments"]
    assert [bool(one["words"]) for one in segments] == [asked == "true"] * len(segments)
