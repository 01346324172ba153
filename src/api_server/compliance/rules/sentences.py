"""A call cut into sentences: what one speaker says up to a full stop or a closing ending.

Which endings close a sentence and which ask is data (``grammar.toml``). A one-hour call takes half
the time and a hundredth of the memory that a morphological analyser needs (kiwipiepy 0.24: 0.57 s
and 540 MB; ``benchmarks/rules.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from api_server.compliance.rules.grammar import load_grammar
from api_server.compliance.rules.register import standardise
from api_server.text.normalise import fold
from stt_engine.speech import Segment

SEPARATOR = "\n"
"""Stands between two sentences of a text; no pattern matches across it."""

_QUESTION_MARK = "?"
_LETTERS = re.compile(r"(?:[^\W_]|%)+")

Position = tuple[int, int]
"""Where a letter of a sentence comes from: index of the segment, offset in its text."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of one speaker.

    ``letters`` is its text in standard words, without spaces and punctuation (except ``%``);
    ``positions[i]`` is the position of ``letters[i]`` in the call. ``said``: the letters as they
    were said.
    """

    letters: str
    positions: Sequence[Position]
    speaker: str | None
    channel: int
    question: bool
    said: str


def split_sentences(segments: Sequence[Segment]) -> list[Sentence]:
    """Cut a call into sentences, in the order in which they begin.

    A sentence may continue in the next segment of the same speaker. Words of another speaker
    between the two segments end it, unless they are only a short reply ("네").
    """
    return [sentence for turn in _turns(segments) for sentence in _split(turn, segments)]


def letters_of(text: str) -> str:
    """Return the letters of ``text`` as those of a sentence."""
    folded, offsets = fold(text)
    return "".join(_LETTERS.findall(standardise(folded, offsets)[0]))


def _turns(segments: Sequence[Segment]) -> list[list[int]]:
    """Return the turns of the call as indices of segments; a short reply ends no turn."""
    short = load_grammar().short_reply_letters
    open_turns: dict[tuple[int, str | None], list[int]] = {}
    turns: list[list[int]] = []
    for index, segment in enumerate(segments):
        speaker = (segment.channel, segment.speaker)
        if sum(map(str.isalnum, segment.text)) > short:
            open_turns = {key: turn for key, turn in open_turns.items() if key == speaker}
        turn = open_turns.get(speaker)
        if turn is None:
            turn = open_turns[speaker] = []
            turns.append(turn)
        turn.append(index)
    return turns


def _split(turn: Sequence[int], segments: Sequence[Segment]) -> Iterator[Sentence]:
    grammar = load_grammar()
    text, positions = _join(turn, segments)
    first = segments[turn[0]]
    start = 0
    for stop in (*(end.end() for end in grammar.sentence_end.finditer(text)), len(text)):
        said, where = _keep_letters(text, positions, start, stop)
        if said:
            marked = _QUESTION_MARK in text[max(start, stop - 3) : stop]
            letters, where = _standard(said, where, text[start:stop], positions[start:stop])
            question = marked or bool(grammar.question_end.search(letters))
            yield Sentence(letters, where, first.speaker, first.channel, question, said)
        start = stop


def _standard(
    said: str, where: list[Position], text: str, positions: Sequence[Position]
) -> tuple[str, list[Position]]:
    """Return the letters of a sentence in standard words; what has none in them stays."""
    standard, places = standardise(text, positions)
    if places is positions:
        return said, where
    letters, kept = _keep_letters(standard, places, 0, len(standard))
    return (letters, kept) if letters else (said, where)


def _join(turn: Sequence[int], segments: Sequence[Segment]) -> tuple[str, list[Position]]:
    parts: list[str] = []
    positions: list[Position] = []
    for index in turn:
        folded, offsets = fold(segments[index].text)
        parts.append(f"{folded}\n")
        positions.extend(zip(repeat(index), offsets, strict=False))
        positions.append((index, len(segments[index].text)))
    return "".join(parts), positions


def _keep_letters(
    text: str, positions: Sequence[Position], start: int, stop: int
) -> tuple[str, list[Position]]:
    letters: list[str] = []
    kept: list[Position] = []
    for run in _LETTERS.finditer(text, start, stop):
        letters.append(run[0])
        kept.extend(positions[run.start() : run.end()])
    return "".join(letters), kept
