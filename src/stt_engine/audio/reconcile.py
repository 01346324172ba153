"""The ledger's sums: what a part declares against what came of it, and the account of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from stt_engine.audio.declared_length import check_whole, tolerated
from stt_engine.audio.ledger import Account, Ledger, joined
from stt_engine.audio.parts import NO_LENGTH, Bytes, Part
from stt_engine.audio.tags import lost_bytes
from stt_engine.audio.track import Track
from stt_engine.audio.writer import Finished
from stt_engine.coverage import Unheard
from stt_engine.errors import AudioDamaged

_SEQUENTIAL = {"flac", "wv", "voc", "tta", "loas", "mpeg", "avi"}
"""Formats whose sound ends where the file does, if there is nothing else in it."""

_LAST_BLOCK_ONLY = {"voc"}
"""Formats that tell how many bytes of the block that is cut are missing, and of none behind it."""

_AVI_INDEX = b"idx1"

_OTHERWISE_WARNED = {"cut", "unknown_codec", "unreadable"}
"""Reasons that have a warning of their own."""

_TAIL_SEC = 0.5
_LAST_SEC = 0.1
_INAUDIBLE_DB = 60.0
_TOLD_SEC = 0.5


def settle_part(
    part: Part,
    name: str,
    tracks: Sequence[Track],
    declared: float | None,
    data: Bytes,
    *,
    last: bool,
) -> None:
    """Let the time pass that a part declares and that could not be decoded.

    Raises:
        AudioTruncated: the file is cut: its ``last`` part is.
    """
    main = max(tracks, key=lambda one: one.clock)
    tail = _tail_seconds(part, name, main, data)
    broken = tail > max(_TAIL_SEC, 1.5 * main.frame_sec)  # more than a packet that is cut
    guessed = declared is None and part.present_share is not None and part.present_share < 1
    if guessed and part.present_share:
        declared = main.clock / part.present_share
    left = max(0.0, declared - main.clock) if declared is not None else None
    if part.present_share is not None and part.present_share < 1 and _reaches(main, declared):
        for one in tracks:  # the end is there, so that what is missing is in its gaps
            one.account.unheard.extend((start, end, "damaged") for start, end in one.account.gaps)
            one.account.gaps.clear()
    if broken:
        main.lose(tail if left is None else min(tail, left), "damaged")
    elif left is None or part.whole == "yes":
        for one in tracks:
            # An encoder's last packet is often none.
            one.lose(one.unfinished if one.unfinished > _LAST_SEC else 0.0, "damaged")
    if declared is None or declared - main.clock <= tolerated(declared):
        if part.whole == "no":
            main.lose(max(0.0, (declared or 0.0) - main.clock), "cut")
        return
    cut = part.whole == "no" or (part.whole == "unknown" and not broken)
    if cut and last:
        check_whole(main.clock, declared, guessed=guessed)
    # A copy that was broken off at once, before another one, moves nothing.
    scrap = cut and main.clock <= tolerated(declared)
    main.lose(0.0 if scrap else declared - main.clock, "cut" if cut else "damaged")


def _reaches(track: Track, declared: float | None) -> bool:
    return declared is not None and declared - track.clock <= tolerated(declared)


def is_of_unknown_length(part: Part, declared: float | None) -> bool:
    """Return whether a part is cut, and nothing in it tells how much of it is missing."""
    told = part.present_share is not None and part.kind not in _LAST_BLOCK_ONLY
    return part.whole == "no" and declared is None and not told


def _tail_seconds(part: Part, name: str, track: Track, data: Bytes) -> float:
    """Return how much sound the bytes behind the last packet would have been."""
    if NO_LENGTH in part.notes:
        behind = (one.lost_bytes for one in part.holes if one.offset >= track.next_byte)
        return sum(behind) * track.seconds_per_byte
    if name not in _SEQUENTIAL or not track.next_byte:
        return 0.0
    size = sum(len(piece) for piece in part.pieces)
    start = max(0, part.end - (size - track.next_byte))
    index = data.find(_AVI_INDEX, start, part.end) if name == "avi" else -1
    lost = lost_bytes(data, start, index if index >= 0 else part.end)
    return lost * track.seconds_per_byte


def close_ledger(
    ledger: Ledger,
    accounts: Sequence[tuple[int, Account]],
    finished: Finished,
    duration: float,
    min_share: float,
) -> None:
    """Put every track's account into the ledger, by the channels that are left.

    Raises:
        AudioDamaged: less can be heard than the share that is asked for.
    """
    ledger.decoded_sec = duration
    tracks = sorted({number for number, _ in accounts})
    lost = 0.0
    for track in tracks:
        own = [one for number, one in accounts if number == track]
        spans = joined(span[:2] for one in own for span in one.unheard)
        lost += sum(end - start for start, end in spans)
        places = _channels(track, finished) if len(tracks) > 1 else [None]
        for reason in ("damaged", "lost", "cut"):
            same = joined(s[:2] for one in own for s in one.unheard if s[2] == reason)
            ledger.unheard += [
                Unheard(start, end, channel, reason) for start, end in same for channel in places
            ]
        ledger.packets += sum(one.packets for one in own)
        ledger.damaged_packets += sum(one.damaged_packets for one in own)
    ledger.unheard.sort(key=lambda one: (one.start, one.end, one.channel or 0))
    ledger.gaps = joined(span for _, one in accounts for span in one.gaps)
    ledger.gap_sec = sum(end - start for start, end in ledger.gaps)
    wide = max(1, len(tracks))
    lost += wide * sum(one.end - one.start for one in ledger.unheard if one.reason == "unreadable")
    share = max(0.0, 1 - lost / (duration * wide)) if duration else 0.0
    if ledger.heard_share is not None:
        ledger.heard_share = share
    ledger.channels = [
        {"track": group[0][0], "channel": group[0][1], "copies": [list(one) for one in group[1:]]}
        for group in finished.groups
    ]
    _warn(ledger, [one for _, one in accounts], finished)
    _settle_channels(ledger, finished)
    if share < min_share:
        raise AudioDamaged(
            f"only {share * duration:.1f} s of {duration:.1f} s can be decoded, the "
            f"rest of the file is damaged or unknown; at least {min_share:.0%} is needed"
        )


def _channels(track: int, finished: Finished) -> list[int | None]:
    """Return the files in which a track is; ``None`` where it is silent and left out."""
    own = [n for n, group in enumerate(finished.groups) if any(key[0] == track for key in group)]
    return [*own] or [None]


def _warn(ledger: Ledger, accounts: Sequence[Account], finished: Finished) -> None:
    reasons = {one.reason for one in ledger.unheard}
    if reasons - _OTHERWISE_WARNED:
        spans = joined(
            (one.start, one.end) for one in ledger.unheard if one.reason not in _OTHERWISE_WARNED
        )
        lost = sum(end - start for start, end in spans)
        ledger.warn("damaged", f"{lost:.1f} s could not be decoded")
    if "cut" in reasons or ledger.whole == "no":
        ledger.warn("cut", "the container's own end is missing")
    if ledger.gaps:
        ledger.warn("gaps", f"{ledger.gap_sec:.1f} s in {len(ledger.gaps)} gaps of its time stamps")
    if any(one.jumps for one in accounts):
        ledger.warn("time_stamps", f"{sum(one.jumps for one in accounts)} that cannot be true")
    if len(ledger.parts) > 1:
        ledger.warn("parts", f"{len(ledger.parts)} containers: {', '.join(ledger.parts[:8])}")
    if ledger.streams_decoded > 1:
        ledger.warn("tracks", f"{ledger.streams_decoded} audio tracks")
    scaled = min((one.scaled for one in accounts), default=1.0)
    if scaled < 1:
        ledger.warn("out_of_range", f"floating-point samples up to {1 / scaled:g}")
    _warn_level(ledger, finished, max((one.peak for one in accounts), default=0.0))


def _warn_level(ledger: Ledger, finished: Finished, peak: float) -> None:
    """Warn of speech that is hard to hear; ``peak``: that of samples too small for 16 bits."""
    loudest = finished.level or peak
    level = 20 * log10(loudest) if loudest else None
    if finished.gain > 1:
        ledger.gain_db = 20 * log10(finished.gain)
        ledger.warn("quiet", f"peaks at {level:.0f} dBFS; made louder by {ledger.gain_db:.0f} dB")
    elif level is not None and level < -_INAUDIBLE_DB:
        ledger.warn("too_quiet", f"peaks at {level:.0f} dBFS")


def _settle_channels(ledger: Ledger, finished: Finished) -> None:
    """Warn of what channels have in common, which shows nobody's words."""
    pair = finished.pair
    if any(len(group) > 1 for group in finished.groups):
        ledger.warn("channel_copies", "channels with the same sound are one; who speaks is unknown")
    if pair is None or pair.empty is not None:
        return
    ledger.copies = [(0.0, ledger.decoded_sec)] if pair.alike else pair.copies
    if pair.alike:
        ledger.warn("channel_copies", "both channels are loud together; who speaks is unknown")
    elif pair.copies:
        seconds = sum(end - start for start, end in pair.copies)
        ledger.warn("channel_copies", f"both channels are one signal for {seconds:.1f} s")
    ledger.crosstalk = [
        {"channel": channel, "taken_sec": round(seconds, 1), "level_db": round(level, 1)}
        for channel, (seconds, level) in enumerate(zip(pair.taken_sec, pair.level_db, strict=True))
        if seconds >= _TOLD_SEC
    ]
    if ledger.crosstalk and not pair.alike:
        told = ", ".join(
            f"{one['taken_sec']} s from channel {one['channel']} ({one['level_db']} dB)"
            for one in ledger.crosstalk
        )
        ledger.warn("crosstalk", f"the other side was taken out: {told}")
