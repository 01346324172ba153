"""A whole file: its containers one after the other, their tracks beside each other, the account."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from stt_engine.audio.declared_length import check_length, declared_seconds, estimated_seconds
from stt_engine.audio.decoders import check_rate
from stt_engine.audio.file_bytes import FileBytes
from stt_engine.audio.frame_headers import WALKERS
from stt_engine.audio.ledger import Account, Ledger
from stt_engine.audio.levels import Scale, float_scales
from stt_engine.audio.opening import opened_part
from stt_engine.audio.parts import ANY_BYTES, Bytes, Part
from stt_engine.audio.reconcile import close_ledger, is_of_unknown_length, settle_part
from stt_engine.audio.track import BytesTell, Track
from stt_engine.audio.writer import Finished, Writer
from stt_engine.coverage import Unheard
from stt_engine.errors import AudioEmpty, AudioTooManyChannels, NotAudio
from stt_engine.protocol import DecodeStep
from stt_engine.speech import SAMPLE_RATE, AudioLimits
from stt_engine.warnings import MESSAGES

_STEP_SEC = 0.2
"""How long decoding goes on before another recording may have its turn."""

_MAX_DAMAGED = 10_000
"""Packets of which not one can be decoded: there is no sound to come, however many follow."""

_MAX_ERRORS = 100
"""Errors of a demuxer in a row, before its container is taken to end there."""

_COUNTED = {"avi", "voc", "loas"}
"""Formats whose time stamps FFmpeg counts, so that bytes that are lost do not show in them."""

_BARE = {*WALKERS, "loas"}
"""Formats without time stamps: FFmpeg counts them by the first sample rate that it sees."""

_UNKNOWN_BYTES_PER_SEC = 2_000
"""Of a part that cannot be opened, where nothing was heard before it: the pace of a phone."""

_ORDER = ("no", "unknown", "yes").index

_STARTS_ANYWHERE = {"mpegts", "mpeg"}
"""Formats whose clock does not begin at zero."""

Steps = Generator[DecodeStep, None, None]


@dataclass(slots=True)
class _Open:
    """A part while it is decoded."""

    part: Part
    container: InputContainer
    streams: list[AudioStream]
    tracks: dict[int, Track]
    start: float
    scales: dict[int, Scale]


class Recording:
    """Decodes part after part into one writer, and keeps the ledger."""

    def __init__(self, file: BinaryIO, data: Bytes, folder: Path, limits: AudioLimits) -> None:
        """Take an open file, its bytes, and where the samples go."""
        self._file, self._data, self._limits = file, data, limits
        self._writer = Writer(folder, limits)
        self._accounts: list[tuple[int, Account]] = []
        self._began = time.monotonic()
        self.ledger = Ledger()
        self.source_format = ""

    def close(self) -> None:
        """Close the files of samples."""
        self._writer.stack.close()

    @property
    def duration(self) -> float:
        """Seconds of the recording so far."""
        return self._writer.duration

    @property
    def has_sound(self) -> bool:
        """Whether any sample was decoded."""
        return bool(self._writer.slots)

    def part(self, part: Part, share: float, *, last: bool) -> Steps:
        """Decode one container of the file; ``share`` is how much of the file's bytes it has.

        One that is cut is a cut file where it is the ``last``, and else something missing.

        Raises:
            AudioRejected: one of its kinds.
        """
        with opened_part(self._file, part, self._limits) as container:
            if not part.kind and container.format.name in {*WALKERS, *ANY_BYTES}:
                raise NotAudio("no frames that follow each other")
            streams = self._streams(container)
            first = streams[0]
            check_length(declared_seconds(container, first, part), self._limits)
            if not self.source_format:
                self.source_format = _name(container, part)
                estimate = part.estimate_sec or estimated_seconds(container, first)
                yield {
                    "kind": "estimate",
                    "estimate_sec": estimate / share if estimate is not None else None,
                    "channels": self._channels(streams),
                }
            scales = yield from float_scales(self._file, part, streams, self._limits)
            now = _Open(part, container, streams, {}, self.duration, scales)
            yield from self._decoded(now)
            self._settled(now, last=last)

    def _streams(self, container: InputContainer) -> list[AudioStream]:
        name, found = container.format.name, list(container.streams.audio)
        if not found:
            raise NotAudio(f"a {name} file without an audio stream")
        known = [one for one in found if one.codec_context is not None]
        if not known:
            raise NotAudio(f"a {name} file with an unknown audio codec")
        self.ledger.streams_found = max(self.ledger.streams_found, len(found))
        for one in known[: self._limits.max_tracks]:
            if one.codec_context.sample_rate:  # where the header tells
                check_rate(one.codec_context.sample_rate)
            if one.codec_context.channels > self._limits.max_channels:
                raise AudioTooManyChannels(
                    f"{one.codec_context.channels} channels; the limit is "
                    f"{self._limits.max_channels}"
                )
        return known

    def _channels(self, streams: list[AudioStream]) -> int:
        found = sum(one.codec_context.channels or 1 for one in streams[: self._limits.max_tracks])
        return max(1, min(found, self._limits.max_channels))

    def _decoded(self, now: _Open) -> Steps:
        damaged = 0
        for packet in self._packets(now):
            track = now.tracks.get(packet.stream_index)
            if track is None:
                if not packet.size:
                    continue
                track = self._track(now, packet.stream_index)
            track.take(packet)
            if not track.heard:
                damaged += 1
                if damaged > _MAX_DAMAGED and not any(one.heard for one in now.tracks.values()):
                    break
            if time.monotonic() - self._began > _STEP_SEC:
                yield {"kind": "progress"}
                self._began = time.monotonic()
        for track in now.tracks.values():
            track.finish()

    def _track(self, now: _Open, index: int) -> Track:
        if len(now.tracks) >= self._limits.max_tracks:
            raise AudioTooManyChannels(
                f"more than {self._limits.max_tracks} audio tracks, which is the limit"
            )
        streams = list(now.container.streams.audio)
        stream = next(one for one in streams if one.index == index)
        container, part = now.container, now.part
        name = container.format.name
        first = part.origin == "first" or name in _STARTS_ANYWHERE
        begin = container.start_time
        track = Track(
            stream,
            streams.index(stream),
            self._writer,
            start=now.start,
            origin=0.0 if not first else None if begin is None else begin / av.time_base,
            holes=tuple(one for one in part.holes if one.stream in {None, index}),
            bytes_tell=_bytes_tell(container, self._data),
            declared=_longest(container, stream, part),
            late=part.late[index] if index < len(part.late) else (0.0, 0.0),
            rate=stream.codec_context.sample_rate if name in _BARE else 0,
            scale=now.scales.get(index),
        )
        now.tracks[index] = track
        return track

    def _packets(self, now: _Open) -> Iterator[Packet[Any]]:
        """Yield the packets of every track; the demuxer's errors end nothing while it goes on."""
        packets, errors = now.container.demux(now.streams), 0
        while errors < _MAX_ERRORS:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                errors += 1
                packets = now.container.demux(now.streams)
                continue
            except IndexError:  # a stream that was not there when the container was opened
                self.unreadable(now.part, 0, "a stream that begins in mid file")
                return
            if packet is None:
                return
            errors = 0
            yield packet

    def _settled(self, now: _Open, *, last: bool) -> None:
        """Hold what was decoded of a part against what it declares."""
        part, ledger, name = now.part, self.ledger, now.container.format.name
        heard = [one for one in now.tracks.values() if one.heard]
        if not heard:
            raise AudioEmpty("not one sample of sound could be decoded")
        declared = declared_seconds(now.container, now.streams[0], part)
        alone = name if len(now.container.streams) == 1 else ""
        settle_part(part, alone, heard, declared, self._data, last=last)
        if is_of_unknown_length(part, declared):
            ledger.heard_share = None
        if declared is not None:
            ledger.declared_sec = (ledger.declared_sec or 0.0) + declared
            ledger.declared_by = _name(now.container, part)
        ledger.parts.append(_name(now.container, part))
        ledger.whole = min(ledger.whole if len(ledger.parts) > 1 else "yes", part.whole, key=_ORDER)
        ledger.streams_decoded = max(ledger.streams_decoded, len(heard))
        ledger.damaged_bytes += sum(one.lost_bytes for one in part.holes if one.stream is None)
        for note in part.notes:
            if note in MESSAGES:
                ledger.warn(note, f"in part {len(ledger.parts)}")
        for one in now.tracks.values():
            if not one.heard:
                one.account.unheard.append((now.start, self.duration, "damaged"))
        self._accounts += [(one.number, one.account) for one in now.tracks.values()]
        if len(now.streams) < len(now.container.streams.audio):
            ledger.warn("unknown_codec", "a track that no decoder is known for")
            ledger.unheard.append(Unheard(now.start, self.duration, None, "unknown_codec"))

    def unreadable(self, part: Part, size: int, why: str) -> None:
        """Note a part that could not be opened; how long it is can only be told by its bytes."""
        start, before = self.duration, part.end - size
        pace = start / before if start and before else 1 / _UNKNOWN_BYTES_PER_SEC
        seconds = part.estimate_sec or part.declared_sec or size * pace
        self._writer.reach(round((start + seconds) * SAMPLE_RATE))
        self.ledger.unheard.append(Unheard(start, self.duration, None, "unreadable"))
        if part.kind:
            self.ledger.warn("damaged", f"a part of {size} bytes: {why}")
        else:
            self.ledger.trailing_bytes += size
            self.ledger.warn("trailing_bytes", f"{self.ledger.trailing_bytes} bytes: {why}")

    def finish(self) -> Generator[DecodeStep, None, Finished]:
        """Close the account and return the files of samples.

        Raises:
            AudioDamaged: too little of it can be heard.
        """
        finished = yield from self._writer.finish()
        self.ledger.channels_found = len(self._writer.slots)
        close_ledger(
            self.ledger, self._accounts, finished, self.duration, self._limits.min_heard_share
        )
        return finished


def _name(container: InputContainer, part: Part) -> str:
    """Return a container's name: a big-endian WAV file is shown to FFmpeg as AU."""
    return "wav" if part.kind == "wav" else container.format.name


def _bytes_tell(container: InputContainer, data: Bytes) -> BytesTell:
    """Return what bytes mean that no packet has: other streams' where there are others."""
    name = container.format.name
    if name == "mpegts" and isinstance(data, FileBytes):
        return "gaps"  # too large for its packets to be counted: what is missing may be damage
    if len(container.streams) > 1 or name in _STARTS_ANYWHERE | {"ogg"}:
        return "nothing"
    if name == "flac":  # every sample has its number: a gap is damage
        return "gaps"
    return "time" if name in _COUNTED else "damage"


def _longest(container: InputContainer, stream: AudioStream, part: Part) -> float | None:
    declared = declared_seconds(container, stream, part)
    if declared is None:
        return None
    return max(declared, (container.duration or 0) / av.time_base)
