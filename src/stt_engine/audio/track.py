"""One audio track from packets to samples at their true times; what cannot be decoded is noted.

Time stamps are believed where the sound that follows confirms them: a jump forward is a gap, which
becomes silence, or damage, where bytes are missing there. A jump backward moves nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from stt_engine.audio.decoders import PAUSING, check_rate, decoder_of
from stt_engine.audio.held import Held, first_time, is_no_amr, overflows, packet_seconds
from stt_engine.audio.ledger import Account
from stt_engine.audio.levels import Scale
from stt_engine.audio.output import Output, Shape, shape_of
from stt_engine.audio.parts import Hole
from stt_engine.audio.reservoir import HEAD_BYTES, Reservoir
from stt_engine.audio.writer import Writer
from stt_engine.coverage import UnheardReason

_TOLERANCE_SEC = 0.2
"""Time stamps are rounded, and clocks differ."""

_DAMAGED_TOLERANCE_SEC = 0.01
_CONFIRM_SEC = 1.5
_TIMELESS_SEC = 10.0
_RECOVERED_FRAMES = 3
"""Frames between two that are damaged are noise more often than sound."""

_CHANGED_FRAMES = 8
"""Frames of another form (channels, rate) that are no chance."""

_MAX_RENEWALS = 50

_EVIDENCE_SEC = 2.0
"""How long after damage a small jump of the time stamps is its work."""

_MAX_GAP_SEC = 600.0
_SHORT_GAP_SEC = 1.0
_JUMPED_BYTES = 512
_USUAL_TIMES = 1.5
_NO_RATE = -1
_STORED_SHARE, _STORED_SEC = 0.5, 1.0

BytesTell = Literal["time", "damage", "gaps", "nothing"]
"""What bytes that no packet has mean: time that is lost, where FFmpeg makes the time stamps by
counting; that a gap is damage; nothing, where a gap is damage anyway, or other streams' bytes."""


class Track:
    """Decodes the packets of one stream into the writer's channels of ``number``."""

    def __init__(  # noqa: PLR0913 - by name
        self,
        stream: AudioStream,
        number: int,
        writer: Writer,
        *,
        start: float,
        origin: float | None,
        holes: tuple[Hole, ...],
        bytes_tell: BytesTell,
        declared: float | None,
        late: tuple[float, float] = (0.0, 0.0),
        rate: int = 0,
        scale: Scale | None = None,
    ) -> None:
        """Take what is known before the first packet.

        ``origin`` is the time stamp of the part's start (``None``: the first one); ``bytes_tell``
        is what bytes that no packet has mean; ``late`` is the part's; ``rate`` is given where
        FFmpeg counts the time stamps by it, so that they are no times of frames of another.
        """
        gains = scale.gains if scale else None
        self.account = Account(scaled=min(gains or (1.0,)), peak=scale.peak if scale else 0.0)
        self.number = number
        self._output, self._decoder = Output(writer, number, start, gains), decoder_of(stream)
        self._stream, self._renewals = stream, 0
        self._start, self._shift = start, None if origin is None else -origin
        self._late_until, self._late_by = late
        self._time_base = float(stream.time_base or 0)
        self._holes, self._declared = list(reversed(holes)), declared
        self._counted, self._alone = bytes_tell == "time", bytes_tell == "damage"
        self._unpausing = bytes_tell == "gaps"
        self._reservoir = Reservoir() if self._decoder.codec.name.startswith("mp3") else None
        self._doubted: Shape | None = None
        self._held: list[Held] = []
        self._aside: Held | None = None
        self._failed = 0.0
        self._evidence, self._waiting = 0.0, False
        self._recovering = 0
        self.frame_sec = 0.02
        self._next_byte = self._passed = 0
        self._jumped, self._jumped_at, self._usual = 0, 0.0, 0
        self._spanned, self._good_sec = 0, 0.0
        self._pausing = stream.codec_context.codec.name in PAUSING
        self.clock, self.heard = 0.0, False
        self._by_rate = rate
        self.unfinished = 0.0

    @property
    def end(self) -> float:
        """Where the track is, in seconds from the start of the recording."""
        return self._start + self.clock

    @property
    def next_byte(self) -> int:
        """The byte behind the last packet that was decoded."""
        return self._next_byte

    @property
    def seconds_per_byte(self) -> float:
        """How much sound a byte was so far."""
        return self._good_sec / self._spanned if self._spanned else 0.0

    def take(self, packet: Packet[Any]) -> None:
        """Decode one packet; a damaged one is passed over, and its time is kept."""
        size, position = packet.size, packet.pos
        if size:
            self.account.packets += 1
            self._spanned += size
            if position is not None:
                if self._holes or position != self._passed:
                    self._pass(position)
                self._passed = position + size
        missed = (
            self._reservoir is not None
            and size > 0
            and self._reservoir.misses(bytes(packet)[:HEAD_BYTES], size)
        )
        frames = self._frames(packet)
        if frames is None:
            if size:
                self._fail(packet)
            return
        if size and (position is not None or self._next_byte):
            # Of the frames in one MPEG packet only the first has a place.
            self._next_byte = (self._next_byte if position is None else position) + size
        for frame in frames:
            if missed and frame.sample_rate and frame.samples:
                self.account.damaged_packets += 1
                self.lose(frame.samples / frame.sample_rate, "damaged")
            elif frame.samples:
                self._arrived(frame)

    def _frames(self, packet: Packet[Any]) -> list[AudioFrame] | None:
        """Return what comes out of a packet; ``None`` where it is damaged."""
        if self._pausing and is_no_amr(self._stream.codec_context.codec.name, packet):
            return None
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return None
        return None if overflows(packet, frames) else frames

    def finish(self) -> None:
        """Write what is held back; what failed last is time too."""
        while self._holes:
            self._pass(self._holes[-1].offset)
        self._settle()
        self.unfinished, self._failed = self._failed, 0.0
        self._output.flush()

    def lose(self, seconds: float, reason: UnheardReason) -> None:
        """Let ``seconds`` pass that are not there; a file that is cut may end in none."""
        self._settle()
        if not seconds and reason != "cut":
            return
        self._lose(seconds, reason)

    def _pass(self, position: int) -> None:
        """Note the holes in the file before ``position``."""
        while self._holes and self._holes[-1].offset <= position:
            hole = self._holes.pop()
            if hole.stream is not None:
                self._pause(hole)
                continue
            if not hole.seconds:
                self._evidence, self._waiting = _EVIDENCE_SEC, hole.lost_bytes > 0
                continue
            self.lose(hole.seconds, "damaged")
            self._move(hole.seconds)
        jumped = position - self._passed
        if not self._passed:
            return
        if jumped < _JUMPED_BYTES:
            self._spanned += max(0, jumped)
        elif self._counted:
            seconds = jumped * self.seconds_per_byte
            self.lose(seconds, "damaged")
            self._move(seconds)
        elif self._alone and jumped > _USUAL_TIMES * self._usual:
            self._jumped, self._jumped_at = self._jumped + jumped, self.clock

    def _pause(self, hole: Hole) -> None:
        """Let a pause pass of which the file says how long it is; its bytes hold no sound."""
        self._settle()
        self._lose(hole.seconds, self._reason(hole.seconds))
        self._move(hole.seconds)
        if self._passed:
            self._passed += hole.lost_bytes
        self._next_byte = max(self._next_byte, hole.offset + hole.lost_bytes)

    def _move(self, seconds: float) -> None:
        self._shift = (self._shift or 0.0) + seconds

    def _fail(self, packet: Packet[Any]) -> None:
        self.account.damaged_packets += 1
        self._spanned -= packet.size  # what is no sound says nothing of how much a byte is
        self._evidence = _EVIDENCE_SEC
        self._drop_aside()
        seconds = packet_seconds(packet) or self.frame_sec
        if self._recovering:
            self._drop_held()
        self._recovering = _RECOVERED_FRAMES
        if self._counted:  # what the packet has swallowed is time too
            stored = packet.size * self.seconds_per_byte
            self._lose(max(seconds, stored), "damaged")
            self._move(max(seconds, stored) - seconds)
        else:
            self._failed += seconds

    def _arrived(self, frame: AudioFrame) -> None:
        shape = shape_of(frame)
        seconds = frame.samples / (frame.sample_rate or 1)
        at = self._time_of(frame)
        if self._aside is not None and self._aside.shape != shape:
            self._drop_aside()
        if shape == self._output.shape and not self._held and self._flowing(at):
            self._good_sec += seconds
            if self._jumped and self.clock - self._jumped_at > _TOLERANCE_SEC:
                # Sound went on in time behind these bytes, as behind ASF's: they held none.
                self._usual, self._jumped = min(self._usual or self._jumped, self._jumped), 0
            self._evidence = max(0.0, self._evidence - seconds)
            self._write(frame, seconds)
            return
        self._hold(Held(frame, at, seconds, shape))

    def _hold(self, new: Held) -> None:
        """Keep a frame until those that follow show whether its time and its form are true."""
        if self._held and self._held[-1].shape != new.shape:
            self._drop_held()
        if new.shape != self._output.shape and not self._held:
            check_rate(new.frame.sample_rate)
            if self._output.shape is not None and self._evidence and self._doubts(new.shape):
                self._aside = new
                return
            self._recovering = max(self._recovering, _CHANGED_FRAMES if self._output.shape else 0)
        aside, self._aside = self._aside, None
        for one in (new,) if aside is None else (aside, new):
            self._held.append(one)
            self._good_sec += one.seconds
        self._recovering = max(0, self._recovering - 1)
        if not self._recovering and self._confirmed():
            self._settle()

    def _doubts(self, shape: Shape) -> bool:
        """Ask a new decoder, once for each form: damage may have told the old one of it."""
        if shape == self._doubted or self._renewals >= _MAX_RENEWALS:
            return False
        self._doubted, self._renewals = shape, self._renewals + 1
        self._decoder = decoder_of(self._stream, new=True)
        return True

    def _confirmed(self) -> bool:
        """Return whether the frames that are held show by now when they are."""
        held = sum(one.seconds for one in self._held)
        last = self._held[-1]
        first = None if last.at is None else last.at - held + last.seconds
        if self._waiting or (first is None and self._evidence):
            # Behind a hole the first frames may have the time of those that are lost, or none.
            if held <= _TIMELESS_SEC and (first is None or self._on_time(first)):
                return False
            self._waiting = False
        return self._on_time(first) or held > _CONFIRM_SEC

    def _drop_aside(self) -> None:
        """Take a frame of a form that no other has for noise."""
        aside, self._aside = self._aside, None
        if aside is not None:
            self._failed += aside.seconds

    def _drop_held(self) -> None:
        """Take the frames that are held for noise: they lie between others that are damaged."""
        self._failed += sum(one.seconds for one in self._held)
        self._good_sec -= sum(one.seconds for one in self._held)
        self._held.clear()
        self._evidence = _EVIDENCE_SEC

    def _time_of(self, frame: AudioFrame) -> float | None:
        """Return the frame's time from the start of the part, by its time stamp."""
        if frame.pts is None or (self._by_rate and self._by_rate != frame.sample_rate):
            return None
        at = frame.pts * self._time_base
        if at < self._late_until:
            at += self._late_by
        if self._shift is None:
            self._shift = -at
        at += self._shift
        if not self.heard and not self._held and abs(at) <= _TOLERANCE_SEC:
            self._shift -= at  # an encoder's delay is no gap
            at = 0.0
        return at

    def _flowing(self, at: float | None) -> bool:
        return not self._recovering and not self._waiting and self._on_time(at)

    def _on_time(self, at: float | None) -> bool:
        tolerance = _DAMAGED_TOLERANCE_SEC if self._failed or self._evidence else _TOLERANCE_SEC
        if at is None:
            return not self._failed and not self._evidence
        return abs(at - self.clock) <= tolerance

    def _settle(self) -> None:
        """Write the frames that were held back, behind the gap that they have shown."""
        self._drop_aside()
        if (
            self._recovering
            and self._held
            and self._output.shape not in {None, self._held[0].shape}
        ):
            self._drop_held()
        held, self._held = self._held, []
        self._recovering, self._waiting = 0, False
        shift = self._shift or 0.0
        if held:
            last = held[-1]
            behind = sum(one.seconds for one in held[:-1])
            # A time stamp that was wrong once: the sound goes on where it was.
            first = first_time(held) if last.at is None else last.at - behind
            if self._failed or not self._on_time(first):
                self._jump(first)
        for number, one in enumerate(held):
            at = None if one.at is None else one.at + (self._shift or 0.0) - shift
            if number and at is not None and at - self.clock > _TOLERANCE_SEC:
                self._jump(at)
            self._write(one.frame, one.seconds)
        if held:
            self._evidence, self._jumped = 0.0, 0

    def _jump(self, at: float | None) -> None:
        """Let the time pass that a time stamp shows, if it can be true."""
        gap = self._failed if at is None else at - self.clock
        if not self._believed(gap, at):
            self.account.jumps += 1
            lost = max(self._failed, self._stored())
            self._move(lost - gap)
            gap = lost
        reason = self._reason(gap)
        self._failed, self._jumped = 0.0, 0
        if gap > 0:
            self._lose(gap, reason)

    def _believed(self, gap: float, at: float | None) -> bool:
        if gap < -_TOLERANCE_SEC:
            return False
        if at is None or self._declared is None:
            return gap <= _MAX_GAP_SEC
        return at <= self._declared + 1.0

    def _reason(self, gap: float) -> UnheardReason | None:
        # In a pause nothing is stored; where a second is, or as much as ever, there was sound.
        stored = self._stored()
        least = min(gap * _STORED_SHARE, _STORED_SEC)
        if self._unpausing or self._evidence or stored > least:
            return "damaged"
        if gap < _SHORT_GAP_SEC and not self._pausing and self.heard:
            return "lost"
        return None

    def _stored(self) -> float:
        """Return how long the sound would be in the bytes that were passed over."""
        return self._jumped * self.seconds_per_byte

    def _lose(self, seconds: float, reason: UnheardReason | None) -> None:
        """Let time pass in silence; without a reason it is a gap that the recorder left."""
        start, self.clock = self.end, self.clock + seconds
        self._output.go_to(self.end)
        if reason is None:
            self.account.gaps.append((start, self.end))
        else:
            self.account.unheard.append((start, self.end, reason))

    def _write(self, frame: AudioFrame, seconds: float) -> None:
        self.clock += seconds
        self.frame_sec = seconds
        self.heard, self._doubted = True, None
        if self._by_rate != frame.sample_rate and self._by_rate:
            self._by_rate = _NO_RATE
        self._output.put(frame)
