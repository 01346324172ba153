"""The form of OpenAI's audio API: every field is honoured, or refused by its name."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from api_server.http.openai.errors import ApiError
from api_server.http.openai.fields import (
    LISTS,
    NOT_HONOURED,
    PLAIN,
    TRANSCRIPTION,
    AudioForm,
    Value,
    read_transcription,
    read_translation,
)
from stt_engine.hints import Hints

FILE: Value = UploadFile(io.BytesIO(b"x"), filename="call.wav")
NEEDED: list[tuple[str, Value]] = [("file", FILE), ("model", "whisper-1")]


def refusal(*items: tuple[str, Value], needed: bool = True) -> tuple[str | None, str]:
    with pytest.raises(ApiError) as caught:
        read_transcription([*(NEEDED if needed else []), *items])
    assert caught.value.status == 400
    assert caught.value.param is not None
    assert caught.value.detail.startswith(caught.value.param)
    return caught.value.param, caught.value.slug


def test_what_is_left_out_is_as_at_openai() -> None:
    form = read_transcription(NEEDED)
    assert (form.language, form.response_format, form.words) == ("auto", "json", False)
    assert form.file is FILE


@pytest.mark.parametrize(
    ("items", "language"),
    [
        ([("language", "ko")], "ko"),
        ([("language", "English")], "en"),
        ([("languages[]", "ko")], "ko"),
        ([("languages", "ko-KR")], "ko"),
        ([("language", "ko"), ("languages", "ko")], "ko"),
        ([("language", "")], "auto"),
        ([("language", "auto")], "auto"),
    ],
)
def test_one_language(items: list[tuple[str, Value]], language: str) -> None:
    assert read_transcription([*NEEDED, *items]).language == language


@pytest.mark.parametrize("suffixes", [("", ""), ("[]", "[]"), ("[0]", "[1]")])
def test_lists_come_with_brackets_or_without(suffixes: tuple[str, str]) -> None:
    names = [f"timestamp_granularities{one}" for one in suffixes]
    sent: list[tuple[str, Value]] = [*zip(names, ("word", "segment"), strict=True)]
    form = read_transcription([*sent, ("response_format", "verbose_json"), *NEEDED])
    assert form.granularities == {"word", "segment"}
    assert form.words


@pytest.mark.parametrize(
    "item",
    [
        ("stream", "false"),
        ("temperature", "0"),
        ("temperature", "0.0"),
        ("chunking_strategy", "auto"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy", '{"type": "server_vad", "threshold": null}'),
        *((name, "") for name in sorted(TRANSCRIPTION - {"file", "model"})),
        ("keywords[]", ""),
    ],
)
def test_what_asks_for_what_is_done_anyway_is_honoured(item: tuple[str, Value]) -> None:
    assert read_transcription([*NEEDED, item])


def test_hints_are_read_in_the_words_of_any_client() -> None:
    sent: list[tuple[str, Value]] = [("prompt", " 네, 고객님. "), ("keywords[]", "한빛  펀드")]
    form = read_transcription([*NEEDED, *sent, ("keywords", "김서준"), ("hotwords", "ELS, 해피콜")])
    assert form.hints == Hints("네, 고객님.", ("한빛 펀드", "김서준", "ELS", "해피콜"))
    assert read_transcription([*NEEDED, ("temperature", "0.4")]).temperature == 0.4
    assert not read_transcription(NEEDED).hints


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        (("language", "xx"), "language", "invalid_value"),
        (("languages[]", "xx"), "languages", "invalid_value"),
        (("response_format", "xml"), "response_format", "invalid_value"),
        (("stream", "perhaps"), "stream", "invalid_value"),
        (("keywords", "가"), "keywords", "invalid_value"),
        (("keywords[]", "가" * 51), "keywords", "invalid_value"),
        (("hotwords", ",".join(f"말{at}" for at in range(51))), "keywords", "invalid_value"),
        (("prompt", "가" * 1001), "prompt", "invalid_value"),
        (("temperature", "2"), "temperature", "invalid_value"),
        (("temperature", "nan"), "temperature", "invalid_value"),
        (("temperature", "warm"), "temperature", "invalid_value"),
        (("chunking_strategy", "{}"), "chunking_strategy", "invalid_value"),
        (("chunking_strategy[type]", "vad"), "chunking_strategy[type]", "invalid_value"),
        (("chunking_strategy", '{"type": "vad"}'), "chunking_strategy[type]", "invalid_value"),
        (
            ("chunking_strategy", '{"type": "server_vad", "threshold": 0.5}'),
            "chunking_strategy[threshold]",
            "unsupported_parameter",
        ),
        (("chunking_strategy", '{"type": "server_vad"'), "chunking_strategy", "invalid_value"),
        (("timestamp_granularities", "word"), "timestamp_granularities", "unsupported_value"),
        (("timestamp_granularities[]", "line"), "timestamp_granularities", "invalid_value"),
        (("vad_filter", "true"), "vad_filter", "unknown_parameter"),
        (("model[]", "whisper-1"), "model[]", "unknown_parameter"),
        (("model", "whisper-1"), "model", "invalid_value"),
        (("file", FILE), "file", "invalid_value"),
        (("prompt", FILE), "prompt", "invalid_value"),
        (("file[]", FILE), "file[]", "unknown_parameter"),
    ],
)
def test_refusals(item: tuple[str, Value], param: str, code: str) -> None:
    assert refusal(item) == (param, code)


@pytest.mark.parametrize("name", sorted(NOT_HONOURED))
def test_what_is_not_honoured_is_refused_by_name(name: str) -> None:
    sent = f"{name}[]" if name in LISTS else name
    assert refusal((sent, "0.5")) == (name, "unsupported_parameter")


@pytest.mark.parametrize("name", ["text", "srt", "vtt", "tsv", "lrc", "verbose_json"])
def test_a_stream_is_json(name: str) -> None:
    assert read_transcription([*NEEDED, ("stream", "true")]).stream
    assert not read_transcription([*NEEDED, ("stream", "false")]).stream
    sent = ("response_format", name)
    assert refusal(("stream", "true"), sent) == ("response_format", "unsupported_value")
    with pytest.raises(ApiError, match=f"{name} cannot be had that way; give one of json, diariz"):
        read_transcription([*NEEDED, ("stream", "true"), sent])


def test_two_languages_are_refused() -> None:
    both = [("languages[]", "ko"), ("languages[]", "en")]
    assert refusal(*both) == ("languages", "unsupported_value")
    assert refusal(("language", "ko"), ("languages", "en")) == ("languages", "unsupported_value")


def test_what_is_missing_is_named() -> None:
    missing = "missing_required_parameter"
    assert refusal(("model", "whisper-1"), needed=False) == ("file", missing)
    assert refusal(("file", FILE), needed=False) == ("model", missing)
    assert refusal(("file", FILE), ("model", " "), needed=False) == ("model", missing)
    assert refusal(("model", "x"), ("file", "text"), needed=False) == ("file", "invalid_value")


def test_a_translation_has_fewer_fields() -> None:
    assert read_translation([*NEEDED, ("response_format", "srt")]).response_format == "srt"
    refused = [("stream", "true"), ("response_format", "diarized_json"), ("keywords", "a")]
    for item in [*refused, ("prompt", "a")]:
        with pytest.raises(ApiError) as caught:
            read_translation([*NEEDED, item])
        assert caught.value.param == item[0]


VALUES = st.one_of(
    st.just(FILE),
    st.sampled_from(["", "auto", "ko", "json", "verbose_json", "word", "0", "true", "false"]),
    st.text(max_size=8),
)
NAMES = st.one_of(
    st.sampled_from(sorted(TRANSCRIPTION | {f"{one}[]" for one in LISTS})), st.text(max_size=8)
)


Read = Callable[[list[tuple[str, Value]]], AudioForm]


def tried(read: Read, items: list[tuple[str, Value]]) -> AudioForm | ApiError:
    try:
        return read([*NEEDED, *items])
    except ApiError as refused:
        return refused


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_any_form_is_read_or_refused_by_a_name_that_was_sent(
    items: list[tuple[str, Value]],
) -> None:
    sent = {name for name, _ in items}
    bare = {name.removesuffix("[]") for name in sent}
    reads: list[tuple[Read, frozenset[str]]] = [
        (read_transcription, TRANSCRIPTION),
        (read_translation, PLAIN),
    ]
    for read, known in reads:
        found = tried(read, items)
        if isinstance(found, ApiError):
            assert found.param in sent | bare
            assert found.status == 400
        else:
            assert bare <= known
            assert found.model == "whisper-1"


WAV = "data:audio/wav;base64,UklGRg=="
DIARIZED = ("response_format", "diarized_json")


def references(names: list[str], sounds: list[str]) -> list[tuple[str, Value]]:
    return [
        DIARIZED,
        *(("known_speaker_names[]", one) for one in names),
        *(("known_speaker_references[]", one) for one in sounds),
    ]


def test_voices_with_names_are_read() -> None:
    other = "data:audio/x-m4a;codecs=mp4a.40.2;base64,AAAA"
    form = read_transcription([*NEEDED, *references(["Kim", "김"], [WAV, other])])
    assert [(one.name, one.sound) for one in form.references] == [
        ("Kim", b"RIFF"),
        ("김", bytes(3)),
    ]
    assert "RIFF" not in repr(form)


@pytest.mark.parametrize(
    ("names", "sounds", "param"),
    [
        (["Kim"], [], "known_speaker_names"),
        ([], [WAV], "known_speaker_references"),
        (list("abcde"), [WAV] * 5, "known_speaker_names"),
        (["Kim", "Kim"], [WAV, WAV], "known_speaker_names"),
        ([""], [WAV], "known_speaker_references"),
        (["a" * 65], [WAV], "known_speaker_names"),
        (["Kim"], ["https://example.com/kim.wav"], "known_speaker_references"),
        (["Kim"], ["data:audio/wav;base64,A"], "known_speaker_references"),
        (["Kim"], ["data:audio/wav,RIFF"], "known_speaker_references"),
    ],
)
def test_voices_with_names_are_refused_by_field(
    names: list[str], sounds: list[str], param: str
) -> None:
    assert refusal(*references(names, sounds)) == (param, "invalid_value")


def test_voices_with_names_need_a_shape_that_names_them() -> None:
    items = references(["Kim"], [WAV])[1:]
    assert refusal(*items) == ("known_speaker_names", "unsupported_value")
