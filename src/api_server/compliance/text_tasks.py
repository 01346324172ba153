"""What is done with the text of a call besides asking an LLM about it. Pure, and linear in it.

Each task takes one value and returns one, so that it can be done here or, in a server, in a child
process (:mod:`.text_worker`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from api_server.compliance.chunking import UtteranceSlice, slice_segments, split_into_chunks
from api_server.compliance.coverage import Coverage
from api_server.compliance.evidence import TranscriptIndex
from api_server.compliance.findings import (
    Finding,
    Reading,
    Review,
    ReviewedChunk,
    RuleFinding,
    RuleTier,
    TranscriptChunk,
)
from api_server.compliance.prompt import Prompt
from api_server.compliance.rubric import Rubric
from api_server.compliance.rules.quotes import QuoteRules
from api_server.compliance.verdicts import check_chunks, combine_findings, combine_readings
from api_server.pii.redaction import RedactionResult
from api_server.text.json_adapter import JsonAdapter
from api_server.text.plain_transcript import parse_transcript
from stt_engine.speech import Segment

Mask = Callable[[Sequence[Segment]], RedactionResult]
"""Masks personal data in segments without changing their length (``redaction.redact``)."""

CallSegments = tuple[Segment, ...]

MAX_ELEMENTS = 100
"""Elements of a request, where nothing limits the answer: more than a rubric has."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A value as JSON, which only the tasks open: who hands it on need not take it apart."""

    json: str


@dataclass(frozen=True, slots=True)
class ReadCall:
    """A transcript, and what is known of it without opening it; ``timed``: it has times."""

    transcript: str | CallSegments | Closed
    utterances: int
    chars: int
    timed: bool

    @classmethod
    def of(cls, transcript: str | CallSegments) -> ReadCall:
        """Return ``transcript`` with its size."""
        if isinstance(transcript, str):
            return cls(transcript, transcript.count("\n") + 1, len(transcript), timed=False)
        return cls(transcript, len(transcript), _chars(transcript), timed=True)

    def closed(self) -> ReadCall:
        """Return the same with the transcript closed."""
        return replace(self, transcript=Closed(_TRANSCRIPT.dump_json(self.opened()).decode()))

    def opened(self) -> str | CallSegments:
        """Return the transcript."""
        found = self.transcript
        return _TRANSCRIPT.validate_json(found.json) if isinstance(found, Closed) else found


@dataclass(frozen=True, slots=True)
class GivenCall:
    """A call; ``masked``: it is masked already, so many entities of each type.

    ``nonce``: new for each check; decides about the marks that prove a reading.
    """

    call: ReadCall
    nonce: str
    masked: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class CallText:
    """The words of a prepared call.

    Args:
        sent: the segments with letters, as they are sent.
        shown: the same ones, character by character, as evidence shows them.
        chunks: which parts of them each request is about.
        nonce: that of the check.
    """

    sent: CallSegments = ()
    shown: CallSegments = ()
    chunks: tuple[tuple[UtteranceSlice, ...], ...] = ()
    nonce: str = ""

    def nonce_of(self, chunk: int) -> str:
        """Return the nonce of a chunk, by its number."""
        return f"{self.nonce}.{chunk}"


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call ready to be sent to an LLM.

    Args:
        text: its words.
        texts: the requests' words.
        spans: the first and the last segment id of each request.
        masked: how many entities of each type were masked; ``None`` where masking is off.
        utterances: how many segments are shown.
        nobodys: how many of them are said by nobody knows whom.
        chars: how many characters they have.
    """

    text: CallText | Closed = CallText()
    texts: tuple[str, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    masked: Mapping[str, int] | None = None
    utterances: int = 0
    nobodys: int = 0
    chars: int = 0

    @classmethod
    def of(
        cls,
        text: CallText,
        texts: tuple[str, ...] = (),
        masked: Mapping[str, int] | None = None,
    ) -> PreparedCall:
        """Return a call with its size."""
        shown = text.shown
        spans = tuple((shown[p[0].position].id, shown[p[-1].position].id) for p in text.chunks)
        nobodys = sum(one.speaker is None for one in shown)
        return cls(text, texts, spans, masked, len(shown), nobodys, _chars(shown))

    def closed(self) -> PreparedCall:
        """Return the same with its words closed."""
        return replace(self, text=Closed(_CALL_TEXT.dump_json(opened(self.text)).decode()))


_TRANSCRIPT: JsonAdapter[str | CallSegments] = JsonAdapter(str | CallSegments)
_CALL_TEXT: JsonAdapter[CallText] = JsonAdapter(CallText)


def opened(text: CallText | Closed) -> CallText:
    """Return the words of a prepared call."""
    return _CALL_TEXT.validate_json(text.json) if isinstance(text, Closed) else text


def _chars(segments: CallSegments) -> int:
    return sum(len(one.text) for one in segments)


@dataclass(frozen=True, slots=True)
class ReviewedCall:
    """A call, what the LLM said of each chunk (``None``: nothing usable), and what rules found.

    ``unsent``: the numbers of the chunks whose turn came too late.
    """

    text: CallText | Closed
    reviews: tuple[Review | None, ...]
    coverage: Coverage
    rules: Mapping[str, RuleFinding]
    unsent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The findings on a call, and whether the LLM read it."""

    findings: tuple[Finding, ...]
    reading: Reading


class TextTasks:
    """The tasks, for one rubric.

    Args:
        rubric: the elements to check.
        rules: the rule tier.
        mask: masks what is sent.
        mask_evidence: evidence shows the masked text, too.
        chunk_chars: characters of a call in one request.
        max_elements: elements that one request is about at most.
    """

    def __init__(
        self,
        rubric: Rubric,
        rules: RuleTier,
        mask: Mask | None,
        *,
        mask_evidence: bool,
        chunk_chars: int,
        max_elements: int = MAX_ELEMENTS,
    ) -> None:
        self._rubric = rubric
        self._rules = rules
        self._mask = mask
        self._mask_evidence = mask_evidence
        self._chunk_chars = chunk_chars
        self._prompt = Prompt(rubric)
        self._elements = min(len(rubric.asked), max_elements)
        self._quotes = QuoteRules(rubric)

    @property
    def rules_cover(self) -> Sequence[str]:
        """The elements that have rules."""
        return self._rules.covers

    def mask(self, segments: CallSegments) -> RedactionResult:
        """Mask a call.

        Raises:
            RedactionFailed: it cannot be masked.
        """
        return self._mask(segments) if self._mask else RedactionResult(segments, {})

    def prepare(self, given: GivenCall) -> PreparedCall:
        """Mask a call and divide it into requests.

        Raises:
            RedactionFailed: it cannot be masked.
        """
        segments = _segments(given.call.opened())
        known = given.masked
        masked = self.mask(segments) if known is None else RedactionResult(segments, known)
        sent = masked.segments
        chunks = tuple(split_into_chunks([one.text for one in sent], self._chunk_chars))
        shown = sent if self._mask_evidence else segments
        call = CallText(sent, shown, chunks, given.nonce)
        texts = tuple(
            self._prompt.render_call(
                slice_segments(sent, one), call.nonce_of(number), self._elements
            )
            for number, one in enumerate(chunks)
        )
        return PreparedCall.of(call, texts, masked.counts if self._mask else None)

    def withhold(self, call: ReadCall) -> PreparedCall:
        """Return a call of which nothing may be sent; rules may still look at what may be shown."""
        segments = () if self._mask_evidence else _segments(call.opened())
        whole = tuple(UtteranceSlice(n, 0, len(one.text)) for n, one in enumerate(segments))
        return PreparedCall.of(CallText(segments, segments, (whole,)))

    def examine(self, text: CallText | Closed) -> Mapping[str, RuleFinding]:
        """Return what the rules find."""
        return self._rules.examine(opened(text).shown)

    def judge(self, reviewed: ReviewedCall) -> Judgement:
        """Return what the LLM's reviews and the rules' findings establish."""
        call = opened(reviewed.text)
        chunks = [
            ReviewedChunk(
                self._chunk(call, number, reviewed.coverage), review, number not in reviewed.unsent
            )
            for number, review in enumerate(reviewed.reviews)
        ]
        readings = check_chunks(chunks)
        findings = combine_findings(self._rubric, call.shown, chunks, readings, reviewed.rules)
        return Judgement(findings, combine_readings(readings))

    def _chunk(self, call: CallText, number: int, coverage: Coverage) -> TranscriptChunk:
        slices = call.chunks[number]
        sent, shown = slice_segments(call.sent, slices), slice_segments(call.shown, slices)
        index, quotes = TranscriptIndex(sent, shown), self._quotes.of_call(sent)
        return TranscriptChunk(sent, index, quotes, coverage, call.nonce_of(number))


def _segments(transcript: str | Sequence[Segment]) -> CallSegments:
    """Return the segments that contain a letter or a digit."""
    if isinstance(transcript, str):
        transcript = parse_transcript(transcript)
    return tuple(one for one in transcript if any(char.isalnum() for char in one.text))
