"""The form of a transcription or a translation: every field is honoured, or refused by its name.

Lists come with brackets behind their names (the official client; others number them) or without
(curl), and every name once: ``timestamp_granularities[]``. An empty value says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType

from starlette.datastructures import UploadFile

from api_server.http.openai.errors import refused
from api_server.http.openai.references import Reference, read_references
from api_server.pipeline.render.formats import DIARIZED_JSON, FORMATS, SEGMENT, VERBOSE_JSON, WORD
from api_server.text.strict_json import NotStrictJson, parse_strictly
from stt_engine.errors import InvalidRequest
from stt_engine.hints import NO_HINTS, Hints
from stt_engine.languages import AUTO, language_code, unknown_language
from stt_engine.shown import shorten, unknown

Value = str | UploadFile
Sent = dict[str, list[Value]]

LISTS = frozenset(
    {
        "include",
        "keywords",
        "known_speaker_names",
        "known_speaker_references",
        "languages",
        "timestamp_granularities",
    }
)
"""Fields that may come more than once."""

PLAIN = frozenset({"file", "model", "language", "prompt", "response_format", "temperature"})
"""Fields of both endpoints that come once."""

VAD = frozenset(
    {
        "chunking_strategy[type]",
        "chunking_strategy[prefix_padding_ms]",
        "chunking_strategy[silence_duration_ms]",
        "chunking_strategy[threshold]",
    }
)
TRANSCRIPTION = PLAIN | LISTS | VAD | {"stream", "chunking_strategy", "hotwords"}
"""Fields of ``/v1/audio/transcriptions``."""

STREAM_FORMATS = ("json", DIARIZED_JSON)
"""What a stream can be had as: its events are JSON."""

TRANSLATION_FORMATS = tuple(one for one in FORMATS if one != DIARIZED_JSON)
"""What a translation can be had as."""

_BRACKETS = re.compile(r"\[\d*\]\Z", re.ASCII)
_OBJECT = "chunking_strategy"

UNSUPPORTED = "unsupported_parameter"

NOT_HONOURED: Mapping[str, str] = MappingProxyType(
    {
        "include": "log probabilities of tokens are not given; segments have avg_logprob",
        "chunking_strategy[prefix_padding_ms]": "the margin around speech cannot be set",
        "chunking_strategy[silence_duration_ms]": "pauses cannot be set",
        "chunking_strategy[threshold]": "the detector's threshold cannot be set",
    }
)
"""Fields that are refused whatever they hold, and why; an empty one says nothing."""


@dataclass(frozen=True, slots=True)
class AudioForm:
    """What a request asks for; ``model`` is the name as it was sent."""

    file: UploadFile
    model: str
    language: str = AUTO
    response_format: str = "json"
    granularities: frozenset[str] = field(default_factory=frozenset)
    stream: bool = False
    hints: Hints = NO_HINTS
    temperature: float = 0.0
    task: str = "transcribe"
    references: tuple[Reference, ...] = ()

    @property
    def words(self) -> bool:
        """Whether times of words are asked for."""
        return WORD in self.granularities


def read_transcription(items: Iterable[tuple[str, Value]]) -> AudioForm:
    """Return what the form of a transcription asks for.

    Raises:
        ApiError: 400, with the field that is missing, unknown, wrong or not honoured.
    """
    sent = _by_name(items, TRANSCRIPTION)
    _check_chunking(sent)
    stream = _streams(sent)
    response_format = _choice(sent, "response_format", STREAM_FORMATS if stream else FORMATS)
    form = _form(sent, response_format, _granularities(sent, response_format))
    return replace(
        form,
        stream=stream,
        hints=_hints(sent),
        references=_references(sent, response_format),
    )


def read_translation(items: Iterable[tuple[str, Value]]) -> AudioForm:
    """Return what the form of a translation asks for; raises as :func:`read_transcription`."""
    sent = _by_name(items, PLAIN)
    if any(sent.get("prompt", ())):
        raise refused("prompt", "a translation has none", UNSUPPORTED)
    form = _form(sent, _choice(sent, "response_format", TRANSLATION_FORMATS))
    return replace(form, task="translate")


def _form(
    sent: Sent, response_format: str, granularities: frozenset[str] = frozenset()
) -> AudioForm:
    for name, why in NOT_HONOURED.items():
        if any(sent.get(name, ())):
            raise refused(name, why, UNSUPPORTED)
    model = _one(sent, "model")
    if not model:
        raise refused("model", "is missing", "missing_required_parameter")
    return AudioForm(
        _file(sent),
        model,
        _language(sent),
        response_format,
        granularities,
        temperature=_temperature(sent),
    )


def _hints(sent: Sent) -> Hints:
    """Return what is to be looked out for; ``hotwords`` of other servers are one line of it."""
    words = [*_texts(sent, "keywords"), *_one(sent, "hotwords").split(",")]
    hints = Hints.of(_one(sent, "prompt"), words)
    try:
        hints.check()
    except InvalidRequest as exc:
        raise refused(*str(exc).split(": ", 1)) from exc
    return hints


def _by_name(items: Iterable[tuple[str, Value]], known: frozenset[str]) -> Sent:
    """Return the values of each field by its name without brackets."""
    sent: Sent = {}
    for name, value in chain.from_iterable(map(_flat, items)):
        bare = _BRACKETS.sub("", name)
        if bare not in known or (bare != name and bare not in LISTS):
            raise refused(shorten(name, 64), unknown("field", name, known), "unknown_parameter")
        if isinstance(value, UploadFile) != (bare == "file"):
            raise refused(bare, "send a file in 'file', and text in the other fields")
        sent.setdefault(bare, []).append(value)
    for name, values in sent.items():
        if len(values) > 1 and name not in LISTS:
            raise refused(name, "is sent twice")
    return sent


def _flat(item: tuple[str, Value]) -> Iterator[tuple[str, Value]]:
    """Yield a field; of an object that is sent as JSON each of its own, as clients send them."""
    name, value = item
    members = _members(value) if name == _OBJECT and isinstance(value, str) else {}
    if "type" in members:
        yield from ((f"{name}[{one}]", member) for one, member in members.items())
    else:
        yield item


def _members(value: str) -> dict[str, str]:
    """Return what a JSON object holds, as text; nothing of what is none, or of no JSON."""
    with suppress(NotStrictJson):
        found = parse_strictly(value)
        if isinstance(found, dict):
            held = {name: one for name, one in found.items() if one is not None}
            return {
                name: one if isinstance(one, str) else json.dumps(one) for name, one in held.items()
            }
    return {}


def _file(sent: Sent) -> UploadFile:
    for one in sent.get("file", ()):
        if isinstance(one, UploadFile):
            return one
    raise refused("file", "is missing", "missing_required_parameter")


def _texts(sent: Sent, name: str) -> list[str]:
    """Return what a field says."""
    texts = (str(one).strip() for one in sent.get(name, ()))
    return [one for one in texts if one]


def _one(sent: Sent, name: str, default: str = "") -> str:
    return next(iter(_texts(sent, name)), default)


def _choice(sent: Sent, name: str, known: Iterable[str]) -> str:
    known = tuple(known)
    chosen = _one(sent, name, known[0])
    if chosen not in known and chosen in FORMATS:
        why = f"{chosen} cannot be had that way; give one of {', '.join(known)}"
        raise refused(name, why, "unsupported_value")
    if chosen not in known:
        raise refused(name, unknown("format", chosen, known))
    return chosen


def _streams(sent: Sent) -> bool:
    stream = _one(sent, "stream", "false").lower()
    if stream not in {"true", "false", "1", "0"}:
        raise refused("stream", "give true or false")
    return stream in {"true", "1"}


def _granularities(sent: Sent, response_format: str) -> frozenset[str]:
    asked = frozenset(_texts(sent, "timestamp_granularities"))
    for one in asked - {WORD, SEGMENT}:
        raise refused("timestamp_granularities", unknown("granularity", one, (WORD, SEGMENT)))
    if asked and response_format != VERBOSE_JSON:
        needed = f"needs response_format={VERBOSE_JSON}"
        raise refused("timestamp_granularities", needed, "unsupported_value")
    return asked


def _references(sent: Sent, response_format: str) -> tuple[Reference, ...]:
    names, sounds = (_texts(sent, f"known_speaker_{one}") for one in ("names", "references"))
    if (names or sounds) and response_format != DIARIZED_JSON:
        needed = f"needs response_format={DIARIZED_JSON}"
        field = "known_speaker_names" if names else "known_speaker_references"
        raise refused(field, needed, "unsupported_value")
    return read_references(names, sounds)


def _language(sent: Sent) -> str:
    """Return the code of the one language that was named in either field; else ``auto``."""
    names = ("language", "languages")
    codes = {_code(name, one) for name in names for one in _texts(sent, name)}
    if len(codes) > 1:
        why = "name one language, or none to have it detected"
        raise refused("languages", why, "unsupported_value")
    return next(iter(codes), AUTO)


def _code(name: str, value: str) -> str:
    found = language_code(value)
    if found is None:
        raise refused(name, unknown_language(value))
    return found


def _temperature(sent: Sent) -> float:
    given = _one(sent, "temperature", "0")
    try:
        temperature = float(given)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise refused("temperature", "give a number from 0 to 1")
    return temperature


def _check_chunking(sent: Sent) -> None:
    if _one(sent, "chunking_strategy", "auto") != "auto":
        raise refused("chunking_strategy", "give 'auto', or an object of type 'server_vad'")
    if _one(sent, "chunking_strategy[type]", "server_vad") != "server_vad":
        raise refused("chunking_strategy[type]", "give 'server_vad'")
