"""Frames that wait for what shows whether they are sound, and what packets say of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from av.audio.frame import AudioFrame
from av.packet import Packet

from stt_engine.audio.frame_headers import AMR_READERS
from stt_engine.audio.output import Shape

_MAX_PACKET_SEC = 5.0


@dataclass(slots=True)
class Held:
    """A frame, when it is by its time stamp (seconds), how long it lasts, and its form."""

    frame: AudioFrame
    at: float | None
    seconds: float
    shape: Shape


def packet_seconds(packet: Packet[Any]) -> float:
    """Return how long a packet lasts by its container; 0 where that is not told, or untrue."""
    seconds = float((packet.duration or 0) * (packet.time_base or 0))
    return seconds if 0 < seconds < _MAX_PACKET_SEC else 0.0


def overflows(packet: Packet[Any], frames: list[AudioFrame]) -> bool:
    """Return whether more frames came out of a packet than it lasts: they are of noise."""
    if len(frames) < 2 or not packet_seconds(packet):  # noqa: PLR2004
        return False
    found = sum(one.samples / (one.sample_rate or 1) for one in frames)
    return found > packet_seconds(packet) + 0.5 * found / len(frames)


def is_no_amr(codec: str, packet: Packet[Any]) -> bool:
    """Return whether a packet of an AMR stream is not frames of it: a decoder conceals that."""
    read = AMR_READERS.get(codec)
    data, at = bytes(packet) if read else b"", 0
    while read and at < len(data):
        found = read(data, at)
        if found is None:
            return True
        at += found[0]
    return at != len(data)


def first_time(held: list[Held]) -> float | None:
    """Return when the first of these frames is, by the first that has a time stamp."""
    behind = 0.0
    for one in held:
        if one.at is not None:
            return one.at - behind
        behind += one.seconds
    return None
