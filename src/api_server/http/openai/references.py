"""Voices that a client has named: ``known_speaker_names[]`` and ``known_speaker_references[]``."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from api_server.http.openai.errors import ApiError, failed, refused
from api_server.http.problems import Problem
from stt_engine.errors import AudioRejected, EngineError, InvalidRequest, NotApplicable
from stt_engine.events import Stage
from stt_engine.outcome import Failure
from stt_engine.recognition.voiceprint import Voiceprint
from stt_engine.shown import shorten
from stt_engine.speech import KnownVoice

NAMES, SOUNDS = "known_speaker_names", "known_speaker_references"

MOST = 4
"""Voices that one request may name."""

SHORTEST_SEC, LONGEST_SEC = 2.0, 10.0
"""How long a reference is."""

_MARGIN_SEC = 0.1
_LONGEST_NAME = 64
_DATA_URL = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w.+-]+=[\w.+\"-]+)*;base64,", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """A name, and the file in which its voice speaks."""

    name: str
    sound: bytes = field(repr=False)


def read_references(names: Sequence[str], sounds: Sequence[str]) -> tuple[Reference, ...]:
    """Return the references of a form.

    Raises:
        ApiError: 400, with the field that is wrong.
    """
    if len(names) != len(sounds):
        field = SOUNDS if sounds else NAMES
        raise refused(field, f"{len(sounds)} references for {len(names)} names: give one for each")
    if len(names) > MOST:
        raise refused(NAMES, f"{len(names)} names, and {MOST} at most")
    for name in names:
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise refused(NAMES, f"a name has 1 to {_LONGEST_NAME} printable characters")
        if names.count(name) > 1:
            raise refused(NAMES, f"{shorten(name, 64)} is there twice")
    return tuple(
        Reference(name, _bytes_of(number, one))
        for number, (name, one) in enumerate(zip(names, sounds, strict=True), 1)
    )


def _bytes_of(number: int, url: str) -> bytes:
    begin = _DATA_URL.match(url)
    if begin is None:
        raise refused(SOUNDS, f"number {number} is no data URL (data:audio/wav;base64,...)")
    try:
        return base64.b64decode(url[begin.end() :], validate=True)
    except binascii.Error as exc:
        raise refused(SOUNDS, f"number {number} is no base64") from exc


def known_voices(
    references: Sequence[Reference], listen: Callable[[bytes], Voiceprint]
) -> tuple[KnownVoice, ...]:
    """Return the voices of references, in a thread: each is decoded and looked at.

    Raises:
        ApiError: 400, with the reference that cannot be used; 503, with why none can now.
    """
    return tuple(
        KnownVoice(one.name, _heard(number, one, listen).embedding)
        for number, one in enumerate(references, 1)
    )


def _heard(number: int, one: Reference, listen: Callable[[bytes], Voiceprint]) -> Voiceprint:
    try:
        found = listen(one.sound)
    except NotApplicable as exc:
        raise refused(SOUNDS, str(exc), "unsupported_parameter") from exc
    except (AudioRejected, InvalidRequest) as exc:
        raise refused(SOUNDS, f"number {number}: {_without_place(exc)}") from exc
    except EngineError as exc:
        raise _unheard(exc) from exc
    if not SHORTEST_SEC - _MARGIN_SEC <= found.duration <= LONGEST_SEC + _MARGIN_SEC:
        bounds = f"{SHORTEST_SEC:g} to {LONGEST_SEC:g} s"
        raise refused(SOUNDS, f"number {number} has {found.duration:.1f} s, and not {bounds}")
    return found


def _without_place(error: EngineError) -> str:
    """Return an error's words without the path of the copy that was looked at."""
    return re.sub(r"(?:/[^/\s:]+)+", "the recording", str(error))


def _unheard(error: EngineError) -> Problem:
    failure = Failure.of(error, Stage.SPEAKERS, "cam++", 0.0)
    answer = failed(failure)
    return ApiError(
        answer.status,
        answer.slug,
        f"{SOUNDS} could not be looked at ({failure.error_type}: {failure.message}).",
        answer.headers,
        SOUNDS,
    )
