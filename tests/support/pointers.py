"""Files that hold no sound but the name of some: playlists, descriptions, external references."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tests.support import bombs


def _mov(reference: bytes) -> bytes:
    """A QuickTime movie whose samples lie in another file."""
    return bombs.mp4(bombs.track(dref=reference, offset=44))


def _url(target: str) -> bytes:
    return _mov(bombs.atom(b"url ", bytes(4), target.encode() + b"\0"))


def _alias(target: str) -> bytes:
    """An ``alis`` record as FFmpeg reads it: volume, file, levels, and the path (type 2)."""
    name = target.rpartition("/")[2].encode()[:27]
    fixed = bytes(10 + 1 + 27 + 12) + bytes([len(name)]) + name.ljust(63, b"\0")
    fixed += bytes(16) + struct.pack(">hh", 1, 1)
    path = target.encode()
    tail = struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2)
    return _mov(bombs.atom(b"alis", bytes(4), fixed + bytes(16) + tail + b"\xff\xff\0\0"))


def _matroska(target: str) -> bytes:
    """A segment that says it goes on in another file."""
    info = bombs.element(0x1549A966, bombs.element(0x3E83BB, target.encode()))
    return bombs.matroska(info, bombs.element(0x1654AE6B, bombs.matroska_track()))


def _mxf(target: str) -> bytes:
    head = bytes.fromhex("060e2b34020501010d01020101020400") + b"\x83\0\0\x78"
    return head + bytes(120) + target.encode()


def _text(template: str) -> Callable[[str], bytes]:
    return lambda target: template.replace("TARGET", target).encode()


POINTERS: dict[str, Callable[[str], bytes]] = {
    "ffconcat": _text("ffconcat version 1.0\nfile 'TARGET'\n"),
    "hls": _text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nTARGET\n#EXT-X-ENDLIST\n"),
    "hls key": _text(
        '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="TARGET"\n'
        "#EXTINF:9,\nTARGET\n#EXT-X-ENDLIST\n"
    ),
    "hls master": _text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nTARGET\n"),
    "hls concat": _text(
        "#EXTM3U\n#EXTINF:9,\nconcat:TARGET|TARGET\n#EXTINF:9,\n"
        "subfile,,start,0,end,9,,:TARGET\n#EXTINF:9,\ndata:audio/wav;base64,UklGRg==\n"
    ),
    "dash": _text(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
        "<BaseURL>TARGET</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "sdp": _text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5 RTP/AVP 0\n"),
    "asx": _text('<asx version="3.0"><entry><ref href="TARGET"/></entry></asx>'),
    "pls": _text("[playlist]\nFile1=TARGET\nNumberOfEntries=1\nVersion=2\n"),
    "xspf": _text(
        '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList>'
        "<track><location>TARGET</location></track></trackList></playlist>"
    ),
    "cue": _text('FILE "TARGET" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n'),
    "url": _text("[InternetShortcut]\nURL=TARGET\n"),
    "rtsp": _text("RTSPtext\nTARGET\n"),
    "vobsub": _text("# VobSub index file, v7 (do not modify)\n# TARGET\nid: ko, index: 0\n"),
    "svg": _text('<svg xmlns:x="http://www.w3.org/1999/xlink"><image x:href="TARGET"/></svg>'),
    "ffmetadata": _text(";FFMETADATA1\ntitle=TARGET\n"),
    "mov url": _url,
    "mov alias": _alias,
    "matroska next": _matroska,
    "mxf": _mxf,
}
"""Name to what makes such a file of a target: a path or an address."""
