"""MPEG transport streams by their packets: several in one file, what is lost between packets."""

from __future__ import annotations

import zlib
from itertools import pairwise
from mmap import mmap

import numpy as np
import numpy.typing as npt

from stt_engine.audio.clocks import begins_again
from stt_engine.audio.file_bytes import FileBytes
from stt_engine.audio.ogg import REVERSED
from stt_engine.audio.parts import Begins, Bytes, Hole, Part
from stt_engine.audio.window import Range
from stt_engine.coverage import Whole

PACKET = 188
_SYNC = 0x47
_CHECKED = 5
_CERTAIN = 8
_NULL_PID = 0x1FFF
_MAX_HOLES = 10_000
_PROGRAM_MAP = 2
_PES_HEAD = 14
_SOUND, _PRIVATE = 0xC0, 0xBD


def begins_mpegts(data: Bytes, at: int) -> bool:
    """Return whether packets of 188 bytes follow each other from ``at`` on."""
    raw = data[at : at + PACKET * _CERTAIN]
    synced = len(raw) > PACKET * 2 and all(one == _SYNC for one in raw[::PACKET])
    return synced and all(one & 0x30 for one in raw[3::PACKET])  # a payload or something else


def mpegts_parts(data: Bytes, at: int, begins: Begins) -> list[Part]:
    """Return the streams that begin at ``at``.

    Where the tables name other streams or a clock goes back behind a table, a new one begins.
    """
    if isinstance(data, FileBytes):  # too large for its packets to be counted
        return [Part("mpegts", (Range(at, len(data)),), len(data), origin="first")]
    runs, size = _runs(data, at, begins), len(data)
    starts: list[int] = []
    holes: list[tuple[int, int]] = []
    tables: dict[int, bytes] = {}
    clocks: dict[int, list[int]] = {}
    before = at
    for start, end in runs:
        if start > before:
            holes.append((start, start - before))
        before = end
        packets = np.frombuffer(data, np.uint8, end - start, start).reshape(-1, PACKET)
        pids = (packets[:, 1] & 0x1F).astype(np.int32) << 8 | packets[:, 2]
        holes += [(start + int(n) * PACKET, 0) for n in _jumps(packets, pids)]
        begun_again = (*_changes(packets, pids, tables), *_restarts(packets, pids, clocks))
        starts += [start + n * PACKET for n in begun_again]
        del packets
    holes.sort()
    begun = before < size and data[before] == _SYNC and _again(data, before) >= size
    cut: Whole = "no" if begun else "unknown"
    end = size if begun and size - before < PACKET else before
    bounds = [at, *sorted({one for one in starts if one > at}), end]
    return [
        Part("mpegts", (Range(first, last),), last, cut if last == end else "unknown",
             origin="first",
             holes=tuple(Hole(place - first, lost) for place, lost in holes[:_MAX_HOLES]
                         if first <= place < last))
        for first, last in pairwise(bounds)
    ]  # fmt: skip


def _runs(data: mmap | bytes, at: int, begins: Begins) -> list[tuple[int, int]]:
    """Return where whole packets follow each other, up to where another file begins."""
    runs: list[tuple[int, int]] = []
    size = len(data)
    while at + PACKET <= size and len(runs) < _MAX_HOLES:
        count = (size - at) // PACKET
        sync = np.frombuffer(data, np.uint8, count * PACKET, at)[::PACKET] == _SYNC
        good = count if sync.all() else int(sync.argmin())
        del sync
        end = at + good * PACKET
        again = _again(data, end + (not good))
        # The last packet may be cut, and go on in the file behind it, if there is one.
        seam = max(at, end - PACKET) + 1
        other = begins(data, seam, again) if good and end < size else again
        if other < again:
            runs.append((at, end - PACKET if other < end else end))
            break
        if good:
            runs.append((at, end))
        at = again
    return runs


def _again(data: mmap | bytes, at: int) -> int:
    size = len(data)
    while at + PACKET <= size:
        at = data.find(b"\x47", at)
        if at < 0:
            return size
        if all(one == _SYNC for one in data[at : at + PACKET * _CHECKED : PACKET]):
            return at
        at += 1
    return size


def _jumps(packets: np.ndarray, pids: np.ndarray) -> np.ndarray:
    """Return the packets before which one of the same stream is missing, by their counters."""
    payload = packets[:, 3] & 0x10 != 0
    numbers = np.flatnonzero(payload & (pids != _NULL_PID))
    order = numbers[np.argsort(pids[numbers], kind="stable")]
    counter, pid = packets[order, 3] & 0x0F, pids[order]
    step = (counter[1:].astype(np.int16) - counter[:-1]) % 16
    return np.sort(order[1:][(pid[1:] == pid[:-1]) & (step > 1)])


def _changes(packets: np.ndarray, pids: np.ndarray, tables: dict[int, bytes]) -> list[int]:
    """Return the packets from which on the tables are others than those before."""
    found: list[int] = []
    pat_at = 0
    starts = packets[:, 1] & 0x40 != 0
    programs = {pid for pid in tables if pid}
    for number in np.flatnonzero(starts & (pids < _NULL_PID) & _tabled(packets, pids)):
        pid, table = int(pids[number]), _table(packets[number])
        if not table:
            continue
        if pid == 0:
            pat_at = int(number)
            programs |= {
                (table[n + 2] & 0x1F) << 8 | table[n + 3] for n in range(8, len(table) - 3, 4)
            }
        elif pid not in programs:
            continue
        known = tables.get(pid)
        if known is not None and known != table and (not found or found[-1] != pat_at):
            found.append(pat_at)
        if known is not None and known != table and pid == 0:
            tables.clear()
        tables[pid] = table
    return found


def _restarts(packets: np.ndarray, pids: np.ndarray, clocks: dict[int, list[int]]) -> list[int]:
    """Return the tables between two packets of sound of which the second has an earlier time."""
    payload = packets[:, 3] & 0x10 != 0
    starts = np.flatnonzero(payload & (packets[:, 1] & 0x40 != 0))
    skipped = np.where(packets[starts, 3] & 0x20, packets[starts, 4].astype(np.int64) + 1, 0) + 4
    fits = skipped <= PACKET - _PES_HEAD
    starts, skipped = starts[fits], skipped[fits]
    heads = packets[starts[:, None], skipped[:, None] + np.arange(_PES_HEAD)].astype(np.int64)
    named = (heads[:, :3] == (0, 0, 1)).all(axis=1) & (heads[:, 7] & 0x80 > 0)
    timed = named & ((heads[:, 3] & 0xE0 == _SOUND) | (heads[:, 3] == _PRIVATE))
    starts, heads = starts[timed], heads[timed]
    times = (heads[:, 9] >> 1 & 7) << 30 | heads[:, 10] << 22 | heads[:, 11] >> 1 << 15
    times |= heads[:, 12] << 7 | heads[:, 13] >> 1
    tables = np.flatnonzero((pids == 0) & (packets[:, 1] & 0x40 != 0))
    found: list[int] = []
    for pid in (int(one) for one in np.unique(pids[starts])):
        own = starts[pids[starts] == pid]
        clock = times[pids[starts] == pid]
        known = clocks.get(pid, [])
        line = [*known, *(int(one) for one in clock)]
        clocks[pid] = line[-2:]
        for at in range(1, len(line)):
            if line[at] >= line[at - 1] or not begins_again(line, at) or at < len(known):
                continue
            number = int(own[at - len(known)])
            table = (
                int(tables[max(0, int(np.searchsorted(tables, number)) - 1)]) if len(tables) else 0
            )
            if not (payload[table:number] & (pids[table:number] == pid)).any():
                found.append(table)
    return found


def _tabled(packets: np.ndarray, pids: np.ndarray) -> npt.NDArray[np.bool_]:
    """Return which packets begin with a program table (identity 0 or 2)."""
    plain = packets[:, 3] & 0x20 == 0
    begin = plain & (packets[:, 4] == 0)
    identity = packets[:, 5]
    found: npt.NDArray[np.bool_] = begin & (identity == np.where(pids == 0, 0, _PROGRAM_MAP))
    return found


def _table(packet: np.ndarray) -> bytes:
    """Return a table's bytes, its version left out; empty where it needs more packets."""
    body = packet[5:].tobytes()
    length = (body[1] & 0x0F) << 8 | body[2]
    table = body[: 3 + length]
    # A damaged table is none: its checksum over the whole is zero.
    if 3 + length > len(body) or zlib.crc32(table.translate(REVERSED)) != 0xFFFFFFFF:  # noqa: PLR2004
        return b""
    return table[:5] + b"\0" + table[6:-4]
