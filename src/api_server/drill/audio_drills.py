"""The recording is unusable: the caller's mistake, which is refused and says what to do."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from api_server.drill import recordings
from api_server.drill.bench import PLAIN, Drill
from api_server.drill.fault_server import answer
from api_server.drill.processes import send
from api_server.drill.promises import RECOGNISED, Promise, refused
from api_server.drill.scene import Scene

REFUSED_SEC = 30.0
"""Bound on finding that a recording is of no use."""

_SHOWS = ("The recording is unusable",)
_ENDLESS_BYTES = 16 * 1024 * 1024


def _upload(make: Callable[[Path], Path], promise: Promise) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        found = scene.call(make(scene.folder / "bad.wav"))
        scene.judge("", promise, found, REFUSED_SEC, scene.truth(heard=False))

    return run


def _at(make: Callable[[Path], object], promise: Promise) -> Callable[[Scene], None]:
    """Have the server read something in its own folder."""

    def run(scene: Scene) -> None:
        path = scene.box.audio / "there.wav"
        make(path)
        found = scene.call(file_path=str(path))
        scene.judge("", promise, found, REFUSED_SEC, scene.truth(heard=False))
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)

    return run


def _deleted(scene: Scene) -> None:
    """Take the recording away once it was found, and before it is decoded."""
    path = recordings.spoken(scene.box.audio / "deleted.wav")
    since, decoder = len(scene.server.lines), int(scene.server.component("audio")["pid"])
    send(decoder, signal.SIGSTOP)
    with scene.calling(file_path=str(path)) as call:
        try:
            scene.server.line(lambda raw: "deleted.wav" in raw, REFUSED_SEC, since)
            path.unlink()
        finally:
            send(decoder, signal.SIGCONT)
    found = call.result()
    scene.judge("", refused(404, "audio-not-found"), found, REFUSED_SEC, scene.truth(heard=False))


def _cut(path: Path) -> Path:
    whole = recordings.clip()
    return recordings.raw(path, whole[: len(whole) // 2])


def _too_large(path: Path) -> Path:
    return recordings.raw(path, recordings.clip() + bytes(3_400_000))


def _hostile(make: Callable[[Path, str], Path]) -> Callable[[Scene], None]:
    """Name a real recording, and an address of the drill's own: neither may be opened."""

    def run(scene: Scene) -> None:
        promise, silent = refused(415, "not-audio"), scene.truth(heard=False)
        target = scene.clip("named.wav")
        found = scene.call(make(scene.folder / "list.wav", str(target)))
        scene.judge("a file", promise, found, REFUSED_SEC, silent)
        with scene.agent(answer(200), answer(200, recordings.clip())) as elsewhere:
            found = scene.call(make(scene.folder / "list.wav", f"{elsewhere.base}/call.wav"))
            scene.judge("an address", promise, found, REFUSED_SEC, silent)
        scene.check("nothing is opened", not elsewhere.requests, "the address was asked")

    return run


def _endless(scene: Scene) -> None:
    found = scene.target.pour(_without_end())
    promise = refused(413, "body-too-large")
    scene.judge("", promise, found, REFUSED_SEC, scene.truth(heard=False))


def _without_end() -> Iterator[bytes]:
    """Give more than is taken, as one form that never ends."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    for _ in range(_ENDLESS_BYTES // 65536):
        yield bytes(65536)


def _language(scene: Scene) -> None:
    found = scene.call(language="xx")
    scene.judge("", refused(400, "bad-field"), found, REFUSED_SEC, scene.truth(heard=False))


def _afterwards(scene: Scene) -> None:
    scene.judge("", RECOGNISED, scene.call())


def _drill(
    name: str,
    status: int,
    slug: str,
    run: Callable[[Promise], Callable[[Scene], None]],
    *covers: str,
    outside: bool = False,
) -> Drill:
    promise = refused(status, slug)
    return Drill(
        f"recording {name}", promise.words, run(promise), PLAIN, covers, _SHOWS, outside=outside
    )


def _uploaded(make: Callable[[Path], Path]) -> Callable[[Promise], Callable[[Scene], None]]:
    return lambda promise: _upload(make, promise)


def _found(make: Callable[[Path], object]) -> Callable[[Promise], Callable[[Scene], None]]:
    return lambda promise: _at(make, promise)


def _alone(run: Callable[[Scene], None]) -> Callable[[Promise], Callable[[Scene], None]]:
    return lambda _promise: run


def _bomb(path: Path) -> Path:
    return recordings.bomb(path, hours=0.5)


DRILLS = (
    _drill("missing", 404, "no-such-file", _found(lambda _path: None)),
    _drill("deleted while it waits", 404, "audio-not-found", _alone(_deleted), "AudioNotFound"),
    _drill("is a folder", 400, "folder", _found(Path.mkdir)),
    _drill("cannot be read", 400, "audio-unreadable", _found(recordings.pipe), "AudioUnreadable"),
    _drill(
        "empty", 415, "audio-empty",
        _uploaded(lambda path: recordings.raw(path, b"")), "AudioEmpty", outside=True,
    ),
    _drill(
        "not audio", 415, "not-audio",
        _uploaded(lambda path: recordings.raw(path, b"no sound " * 999)), "NotAudio", outside=True,
    ),
    _drill("cut", 415, "audio-truncated", _uploaded(_cut), "AudioTruncated", outside=True),
    _drill("too large", 413, "audio-too-large", _uploaded(_too_large), "AudioTooLarge"),
    _drill(
        "too long", 413, "audio-too-long",
        _uploaded(lambda path: recordings.silence(path, 62.0)), "AudioTooLong",
    ),
    _drill("a decompression bomb", 413, "audio-too-long", _uploaded(_bomb), "AudioTooLong"),
    _drill("without end", 413, "body-too-large", _alone(_endless)),
    _drill(
        "a playlist in disguise", 415, "not-audio",
        _alone(_hostile(recordings.hls)), "NotAudio", outside=True,
    ),
    _drill(
        "a list of parts in disguise", 415, "not-audio",
        _alone(_hostile(recordings.concat)), "NotAudio", outside=True,
    ),
    _drill(
        "in a language that is none", 400, "bad-field",
        _alone(_language), "InvalidRequest", outside=True,
    ),
    Drill("recordings refused, the next call", RECOGNISED.words, _afterwards, PLAIN, outside=True),
)  # fmt: skip
