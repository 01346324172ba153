"""Paths that lead out of the folder, and files that are none."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from benchmarks.attack.trial import Target, Trial, asked


async def files(target: Target) -> AsyncIterator[Trial]:
    """Name each path as a recording; none may be read, and none may hold the server up."""
    root = target.recordings
    (root / "call.wav").write_bytes(target.clip)
    (root / "out").symlink_to("/etc")
    (root / "passwd.wav").symlink_to("/etc/passwd")
    (root / "loop").symlink_to("loop")
    (root / "list.m3u8").write_text("#EXTM3U\n/etc/passwd\n")
    os.mkfifo(root / "pipe.wav")
    named = {
        "above the folder": str(root / ".." / ".." / "etc" / "passwd"),
        "elsewhere": "/etc/passwd",
        "a device": "/dev/zero",
        "the server's own memory": "/proc/self/mem",
        "a link to a folder outside": str(root / "out" / "passwd"),
        "a link to a file outside": str(root / "passwd.wav"),
        "a link to itself": str(root / "loop"),
        "a pipe that nobody fills": str(root / "pipe.wav"),
        "a folder": str(root),
        "a playlist": str(root / "list.m3u8"),
        "a name of 5,000 letters": str(root / ("a" * 5_000)),
        "2,000 folders deep": str(root / "/".join("a" * 2_000)),
        "a zero in its name": str(root / "a\0.wav"),
        "a URL": "http://127.0.0.1/call.wav",
        "FFmpeg's own address": "concat:/etc/passwd|/etc/hosts",
    }
    for name, path in named.items():
        yield await asked(target, name, "POST", "/transcribe", how={"data": {"file_path": path}})
