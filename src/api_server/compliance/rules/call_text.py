"""A call as one text of letters, in which patterns are searched and whose places are known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from api_server.compliance.patterns.linear_pattern import Order, Pattern, Subject
from api_server.compliance.rules.sentences import SEPARATOR, Sentence, split_sentences
from stt_engine.speech import Segment


@dataclass(frozen=True, slots=True)
class Span:
    """``text[start:end]`` of a call's text."""

    start: int
    end: int


class SpeakerText:
    """Some sentences of a call as one text."""

    def __init__(self, call: CallText, numbers: Sequence[int]) -> None:
        self._text = Subject(SEPARATOR.join(call.sentences[n].letters for n in numbers))
        self._numbers = numbers
        self._starts: list[int] = []
        start = 0
        for number in numbers:
            self._starts.append(start)
            start += len(call.sentences[number].letters) + len(SEPARATOR)

    def sentences_in_order(self, order: Order) -> Iterator[int]:
        """Yield the numbers of the sentences that have all of some patterns, one after another."""
        last = None
        for start in order.starts(self._text):
            at = bisect_right(self._starts, start) - 1
            if at != last:
                yield self._numbers[at]
            last = at


class CallText:
    """A call's sentences as one text; each pattern is searched once for each speaker."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments
        self.sentences = split_sentences(segments)
        self.text = Subject(SEPARATOR.join(sentence.letters for sentence in self.sentences))
        self._letters = [Subject(sentence.letters) for sentence in self.sentences]
        self._matches: dict[tuple[Pattern, int], bool] = {}
        self._everywhere: dict[Pattern, AbstractSet[int]] = {}
        self._texts: dict[str, SpeakerText] = {}

    @cached_property
    def starts(self) -> list[int]:
        """Where each sentence begins in the text."""
        starts, start = [], 0
        for sentence in self.sentences:
            starts.append(start)
            start += len(sentence.letters) + len(SEPARATOR)
        return starts

    def sentences_in_order(self, order: Order, by: str) -> Iterator[int]:
        """Yield the sentences of ``by`` and of unknown speakers that have all of some patterns."""
        return self._words_of(by).sentences_in_order(order)

    def _words_of(self, by: str) -> SpeakerText:
        if by not in self._texts:
            numbers = [
                number
                for number, sentence in enumerate(self.sentences)
                if by == "any" or sentence.speaker in {by, None}
            ]
            self._texts[by] = SpeakerText(self, numbers)
        return self._texts[by]

    def sentence_at(self, offset: int) -> int:
        """Return the number of the sentence that holds ``offset``."""
        return bisect_right(self.starts, offset) - 1

    def end_of(self, number: int) -> int:
        """Return the offset behind a sentence."""
        return self.starts[number] + len(self.sentences[number].letters)

    def sentences_with(self, patterns: Sequence[Pattern], numbers: range) -> Iterator[int]:
        """Yield the sentences among ``numbers`` in which any of ``patterns`` matches."""
        for pattern in patterns:
            yield from (number for number in numbers if self._has(pattern, number))

    def all_with(self, pattern: Pattern) -> AbstractSet[int]:
        """Return every sentence in which ``pattern`` matches, which is nowhere two of them.

        For what is asked of many sentences and seldom found: the call is searched once.
        """
        if pattern not in self._everywhere:
            places = (start for start, _ in pattern.spans(self.text))
            self._everywhere[pattern] = set(map(self.sentence_at, places))
        return self._everywhere[pattern]

    def _has(self, pattern: Pattern, number: int) -> bool:
        """Return whether ``pattern`` matches in a sentence, which is searched for it once."""
        if (pattern, number) not in self._matches:
            self._matches[pattern, number] = pattern.is_in(self._letters[number])
        return self._matches[pattern, number]

    def has(self, patterns: Sequence[Pattern], numbers: range) -> bool:
        """Return whether any of ``patterns`` matches in a sentence among ``numbers``."""
        return next(self.sentences_with(patterns, numbers), None) is not None

    def continuation(self, number: int) -> Sentence | None:
        """Return the next sentence, if the same speaker says it."""
        following = number + 1
        if following < len(self.sentences) and self.same_speaker(number, following):
            return self.sentences[following]
        return None

    def same_speaker(self, number: int, other: int) -> bool:
        """Return whether two sentences are on one channel and of one speaker."""
        first, second = self.sentences[number], self.sentences[other]
        return (first.channel, first.speaker) == (second.channel, second.speaker)

    @cached_property
    def _offsets(self) -> dict[tuple[int, int], int]:
        """Where each letter is in the text, by its segment's index and its offset in there."""
        return {
            position: start + at
            for start, sentence in zip(self.starts, self.sentences, strict=True)
            for at, position in enumerate(sentence.positions)
        }

    def spans_at(self, places: Iterable[tuple[int, int, int]]) -> list[tuple[int, Span]]:
        """Return what of each sentence lies at ``places`` (a segment's index, start and end)."""
        known = self._offsets
        found: dict[int, list[int]] = {}
        for index, start, end in places:
            for offset in range(start, end):
                at = known.get((index, offset))
                if at is not None:
                    found.setdefault(self.sentence_at(at), []).append(at)
        return [(number, Span(min(at), max(at) + 1)) for number, at in sorted(found.items())]
