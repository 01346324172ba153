"""A transcript as a file: SubRip, WebVTT, tab-separated, LRC, plain text.

Text is data: where a format would read it as markup, it is escaped (WebVTT), or its letters are
held apart by a character without width (:data:`JOINER`): a viewer shows what was said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from api_server.pipeline.render.cues import Cue, cues, plain, speakers_of
from stt_engine.coverage import Unheard
from stt_engine.speech import Transcript

JOINER = "\N{WORD JOINER}"
"""Takes no room, joins no letters, and is no part of any markup."""

_SRT_MARKUP = re.compile(r"--(?=>)|<(?=[^\s<])|\{(?=\\)")
_LRC_MARKUP = re.compile(r"[\[<](?=\s*[\d#a-zA-Z])")


def srt(transcript: Transcript) -> str:
    """Return SubRip; the speaker's name stands before the words."""
    found = cues(transcript, labelled=True)
    return "".join(_srt_block(number, cue) for number, cue in enumerate(found, 1))


def _srt_block(number: int, cue: Cue) -> str:
    lines = "\n".join(_held_apart(_SRT_MARKUP, line) for line in cue.lines)
    return f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{lines}\n\n"


def vtt(transcript: Transcript) -> str:
    """Return WebVTT; the speaker is the cue's voice, and a note says what has no text."""
    unheard = transcript.coverage.unheard if transcript.coverage else ()
    blocks = [*map(_vtt_note, unheard), *map(_vtt_block, cues(transcript))]
    return "\n".join(["WEBVTT\n", *blocks])


def _vtt_note(one: Unheard) -> str:
    channel = "" if one.channel is None else f", channel {one.channel}"
    span = f"{_clock(one.start, '.')} to {_clock(one.end, '.')}"
    return f"NOTE without text: {span}{channel} ({one.reason})\n"


def _vtt_block(cue: Cue) -> str:
    lines = "\n".join(_entities(line) for line in cue.lines)
    voice = f"<v {_entities(cue.speaker)}>{lines}</v>" if cue.speaker else lines
    return f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{voice}\n"


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def tsv(transcript: Transcript) -> str:
    """Return a line for each segment, as it was spoken: milliseconds, milliseconds, text."""
    return "\n".join(["start\tend\ttext", *_tsv_rows(transcript), ""])


def _tsv_rows(transcript: Transcript) -> Iterator[str]:
    for one, speaker in zip(transcript.segments, speakers_of(transcript), strict=True):
        label = f"{speaker}: " if speaker else ""
        yield f"{_ms(one.start)}\t{_ms(one.end)}\t{label}{plain(one.text)}"


def lrc(transcript: Transcript) -> str:
    """Return LRC, a line for each cue; its minutes go on beyond an hour."""
    return "".join(f"{_lrc_line(cue)}\n" for cue in cues(transcript, labelled=True))


def _lrc_line(cue: Cue) -> str:
    minutes, centiseconds = divmod(_ms(cue.start) // 10, 6000)
    seconds, hundredths = divmod(centiseconds, 100)
    text = _held_apart(_LRC_MARKUP, cue.text)
    return f"[{minutes:02}:{seconds:02}.{hundredths:02}]{text}"


def text(transcript: Transcript) -> str:
    """Return the words alone."""
    return f"{transcript.text}\n" if transcript.text else ""


SUBTITLES: Mapping[str, Callable[[Transcript], str]] = MappingProxyType(
    {"text": text, "srt": srt, "vtt": vtt, "tsv": tsv, "lrc": lrc}
)
"""Every format, by the name that callers give it."""


def _held_apart(markup: re.Pattern[str], line: str) -> str:
    return markup.sub(lambda found: found[0] + JOINER, line)


def _clock(seconds: float, point: str) -> str:
    minutes, ms = divmod(_ms(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
