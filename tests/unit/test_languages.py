"""What people call a language becomes its code, or the code that was meant is named."""

from __future__ import annotations

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES  # type: ignore[import-untyped]

from stt_engine.engine import check
from stt_engine.errors import InvalidRequest
from stt_engine.languages import (
    _TABLE,
    LANGUAGES,
    english_name,
    language_code,
    unknown_language,
)
from stt_engine.speech import SpeechRequest
from tests.support.documents import ROOT


def test_the_codes_are_whispers() -> None:
    assert set(_LANGUAGE_CODES) == LANGUAGES


def test_every_language_has_an_english_name() -> None:
    named = {english_name(code): code for code in LANGUAGES}
    assert len(named) == len(LANGUAGES)
    assert all(language_code(name) == code for name, code in named.items())
    assert (english_name("ko"), english_name("ht"), english_name("lo")) == (
        "korean",
        "haitian",
        "lao",
    )


def test_no_name_is_that_of_two_languages() -> None:
    names = [name.casefold() for line in _TABLE.split("\n") for name in set(line.split())]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ko", "ko"),
        ("EN", "en"),
        (" en ", "en"),
        ("Auto", "auto"),
        ("English", "en"),
        ("korean", "ko"),
        ("KOR", "ko"),
        ("한국어", "ko"),
        ("영어", "en"),
        ("日本語", "ja"),
        ("Türkçe", "tr"),
        ("Haitian Creole", "ht"),
        ("haitian_creole", "ht"),
        ("mandarin", "zh"),
        ("ko-KR", "ko"),
        ("en_US.UTF-8", "en"),
        ("zh-Hant-TW", "zh"),
        ("haw", "haw"),
    ],
)
def test_understood(name: str, code: str) -> None:
    assert language_code(name) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("kr", "ko"),
        ("JP", "ja"),
        ("cn", "zh"),
        ("koraen", "ko"),
        ("Enlgish", "en"),
        ("한국", "ko"),
        ("japan", "ja"),
        ("autom", "auto"),
    ],
)
def test_suggested(name: str, code: str) -> None:
    assert language_code(name) is None
    assert unknown_language(name) == f"unknown language '{name}'; did you mean '{code}'?"


@pytest.mark.parametrize("name", ["", "xx", "../ko", "-", "klingon-speech", "1", "가"])
def test_neither(name: str) -> None:
    assert language_code(name) is None
    assert "give a Whisper code" in unknown_language(name)


def test_a_very_long_name_is_cut() -> None:
    assert len(unknown_language("ko" * 10_000)) < 200


def test_where_only_codes_are_taken_the_code_is_suggested() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'en'"):
        check(SpeechRequest(ROOT, "English"))
