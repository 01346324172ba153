"""The pure parts of the speed benchmark: scores, ratios, claims, tables, plot."""

import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from benchmarks.renderings import many, with_noise
from benchmarks.speed import score
from benchmarks.speed.audio import mixed_reference, references, repeated
from benchmarks.speed.claims import claims
from benchmarks.speed.document import results
from benchmarks.speed.engines import TITLES
from benchmarks.speed.korean_words import KOREAN_WORDS
from benchmarks.speed.make_audio import TEXTS, turns
from benchmarks.speed.part_long import rotated
from benchmarks.speed.plot import draw
from benchmarks.speed.report import show
from tests.support import sounds


def spread(*values: float) -> dict[str, Any]:
    return score.spread(values)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("You are right.", "you're right", (0, 3)),
        ("I do not know", "I don't know!", (0, 4)),
        ("I cannot come", "I can't come", (0, 3)),
        ("It is John's book", "it's Johns book", (0, 4)),
        ("one two three four", "one two four", (1, 4)),
        ("one two", "one two three", (1, 2)),
        ("well known", "well-known", (0, 2)),
        ("nothing was heard", "", (3, 3)),
    ],
)
def test_words_are_counted_without_case_punctuation_and_contractions(
    said: str, heard: str, errors: tuple[int, int]
) -> None:
    assert score.word_errors([(said, heard)]) == errors


def test_korean_is_counted_without_spaces() -> None:
    assert score.character_errors([("이 년 전 피부암을", "이년전 피부암을.")]) == (0, 7)
    assert score.character_errors([("안녕하세요", "안녕하세오")]) == (1, 5)


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("I don't think so. " * 5, True),
        ("네 " * 9, True),
        ("No, no, no, that is not what I meant.", False),
        ("It is a shame that you have to do it and take over the need of it. " * 2, True),
        ("", False),
    ],
)
def test_a_loop_is_told_from_emphasis(text: str, loops: bool) -> None:
    assert score.looped(text) is loops


def test_the_texts_of_the_benchmark_are_no_loops_and_have_no_digits() -> None:
    said = [turn.text for turn in turns()]
    assert len(set(said)) == len(said) > 100
    assert not score.looped(" ".join(said))
    clips = (TEXTS / "clips.txt").read_text("utf-8").splitlines()
    assert len(set(clips)) == 32
    assert not any(char.isdigit() for text in said + clips for char in text)


def test_ratios_are_of_the_same_round() -> None:
    found = score.ratios([10.0, 30.0, 20.0], [5.0, 10.0, 20.0])
    assert found == {"median": 2.0, "min": 1.0, "max": 3.0, "values": [2.0, 3.0, 1.0]}


def test_quantiles_lie_between_the_nearest_two() -> None:
    assert score.quantile([4, 1, 3, 2], 0.5) == 2.5
    assert score.quantile([7], 0.95) == 7


def test_rounds_begin_with_another_engine_each() -> None:
    assert [rotated([1, 2, 3], number) for number in range(4)] == [
        [1, 2, 3],
        [2, 3, 1],
        [3, 1, 2],
        [1, 2, 3],
    ]


def test_a_long_call_is_the_short_one_repeated(tmp_path: Path) -> None:
    source = sounds.sine(tmp_path / "a.wav", 0.5)
    target = tmp_path / "b.wav"
    target.write_bytes(repeated(source.read_bytes(), 3))
    (short, _), (long, rate) = sounds.read_wav(source), sounds.read_wav(target)
    assert len(long) == 3 * len(short)
    assert rate == sounds.RATE


def test_references_are_by_channel_or_by_time() -> None:
    call = {
        "turns": [
            {"channel": 0, "start": 0, "text": "a"},
            {"channel": 0, "start": 3, "text": "c"},
            {"channel": 1, "start": 2, "text": "b"},
        ]
    }
    assert references(call) == ["a c", "b"]
    assert mixed_reference(call) == "a b c"


def row(title: str, seconds: float, wer: float) -> dict[str, Any]:
    return {
        "title": title,
        "settings": "x",
        "seconds": spread(seconds),
        "rtf": 0.1,
        "rounds": 1,
        "wer": spread(wer),
        "looped": False,
        "peak_mib": 100,
    }


@pytest.fixture
def found() -> dict[str, Any]:
    level = {
        "throughput": spread(30.0),
        "p50": spread(0.2),
        "p95": spread(0.3),
        "wer": 1.0,
        "mixed_up": 0,
        "errors": [],
        "health_p99": 0.02,
    }
    server = {"settings": "x", "peak_mib": 900, "levels": {"1": level, "16": level}}
    korean = {"settings": "x", "cer": 9.2, "cer_of_all": 9.5, "seconds_a_clip": spread(0.3)}
    korean |= {"letters": 100, "errors": [1, 2, 1, 2]}
    against = {"throughput": spread(6.0), "p50": spread(4.5), "p95": spread(4.0)}
    return {
        "machine": {
            "processor": "P",
            "cores": 2,
            "memory_gib": 24,
            "features": ["avx2"],
            "load_before": 0.1,
        },
        "rounds": 1,
        "not_run": [{"what": "speaches", "why": "not on PyPI"}],
        "long": {
            "seconds": 600,
            "words": 2000,
            "rows": {
                "product": row("product", 10, 1.0),
                "fw-batched": row("batched", 30, 0.9) | {"mixed": {"seconds": 20, "wer": 1}},
            },
            "ratios": {"fw-batched": spread(2.0)},
            "ratios_beam1": {"fw-batched": spread(3.0)},
        },
        "clips": {
            "levels": [1, 16],
            "rows": {"product": {"title": "product", **server}, "pool": {"title": "p", **server}},
            "ratios": {"pool": {"1": against, "16": against}},
        },
        "traps": {
            "rows": {
                "product": {
                    "title": "product",
                    "sounds": {
                        "music": {
                            "of_real_time": spread(0.1),
                            "speech": False,
                            "text": "Thank you.",
                            "looped": False,
                        }
                    },
                }
            }
        },
        "korean": {
            "clips": 8,
            "renderings": 96,
            "audio_sec": 64.0,
            "rows": {
                "product": korean | {"title": "product", "errors": [2, 1, 2, 2]},
                "fw-sequential": korean | {"title": "sequential"},
            },
        },
        "ready": {"seconds": spread(1.5)},
        "memory": {"measured_as": "PSS", "two_hours": None},
    }


def test_claims_are_judged_and_what_was_not_measured_is_neither_kept_nor_broken(
    found: dict[str, Any],
) -> None:
    judged = {claim.what: claim.kept for claim in claims(found)}
    assert (
        judged["long call: faster-whisper batched, b8, both with timestamps, both beam 1"] is True
    )
    assert judged["long call: openvino-genai, both beam 1"] is None
    assert judged["16 clients: throughput"] is True
    assert judged["16 clients: p95 shorter"] is False
    assert judged["no text on noise, music, silence, ringing"] is False
    assert judged["two-hour call: peak memory"] is None
    assert judged["ready with the model loaded, warm"] is True
    assert judged["Korean clips and renderings: CER above faster-whisper's, beam 5"] is True


@pytest.mark.parametrize(
    ("ours", "points", "chance"),
    [([1, 2, 1, 2], 0.0, 0.0), ([2, 3, 2, 3], 4.0, 0.0), ([2, 1, 2, 2], 1.0, 1.66)],
)
def test_what_is_worse_is_held_to_chance_clip_by_clip(
    ours: list[int], points: float, chance: float
) -> None:
    assert score.worse_by(ours, [1, 2, 1, 2], 100) == (points, chance)


def test_renderings_are_of_one_clip_and_the_same_each_time() -> None:
    clip = np.sin(np.arange(16_000) / 10)
    ways = many(speeds=(0.8, 1.25), below_db=(20,))
    slow, fast = (render(clip) for render in ways)
    assert (len(slow), len(fast)) == (19_999, 12_800)
    (again, _) = (render(clip) for render in ways)
    assert np.array_equal(slow, again)
    noise = with_noise(20)(clip) - clip
    assert np.sqrt(np.mean(noise**2) / np.mean(clip**2)) == pytest.approx(0.1, rel=0.05)


def test_a_quick_run_without_renderings_says_nothing_of_them(found: dict[str, Any]) -> None:
    found["korean"]["renderings"] = 0
    (told,) = [claim for claim in claims(found) if "renderings" in claim.what]
    assert (told.measured, told.kept) == ("not run", None)


def test_nothing_measured_keeps_nothing() -> None:
    assert {claim.kept for claim in claims({})} == {None}


def test_the_tables_have_every_row_and_what_was_not_run(found: dict[str, Any]) -> None:
    out = io.StringIO()
    show(found, Console(file=out, width=200))
    text = out.getvalue()
    for told in ("batched", "not on PyPI", "NOT KEPT", "3.00", "avx2"):
        assert told in text


def test_the_korean_document_has_a_word_for_every_claim_and_title() -> None:
    titles = {claim.what for claim in claims({})} | set(TITLES.values())
    assert {
        title for title in titles if not re.search("[가-힣]", KOREAN_WORDS.get(title, ""))
    } == set()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_document_has_tables_of_one_shape(found: dict[str, Any], language: str) -> None:
    text = results(found, language)
    plain = results(found, "en")
    assert [line.count("|") for line in text.splitlines()] == [
        line.count("|") for line in plain.splitlines()
    ]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_plot_is_drawn_from_the_json(found: dict[str, Any], language: str) -> None:
    root = ET.fromstring(draw(json.loads(json.dumps(found)), language))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 2 + 2 + 2
