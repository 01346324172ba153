"""Invalid recordings: refused as the client's mistake, with a problem document that says why."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from stt_tools.drill import dead_mount, recordings
from stt_tools.drill.expectations import RECOGNISED, Expectation, refused
from stt_tools.drill.experiment import Experiment
from stt_tools.drill.fault_server import answer
from stt_tools.drill.processes import LINUX, send
from stt_tools.drill.scenario import PLAIN, Scenario

REFUSED_SEC = 30.0
"""Bound on refusing a recording."""

_SHOWS = ("The recording is unusable",)
_ENDLESS_BYTES = 16 * 1024 * 1024


def _upload(make: Callable[[Path], Path], expectation: Expectation) -> Callable[[Experiment], None]:
    def run(experiment: Experiment) -> None:
        found = experiment.call(make(experiment.folder / "bad.wav"))
        experiment.verify(
            "", expectation, found, REFUSED_SEC, experiment.ground_truth(speech=False)
        )

    return run


def _read_from_folder(
    make: Callable[[Path], object], expectation: Expectation
) -> Callable[[Experiment], None]:
    """Make the server read a path in its own audio folder."""

    def run(experiment: Experiment) -> None:
        path = experiment.own_sandbox.audio / "there.wav"
        make(path)
        found = experiment.call(file_path=str(path))
        experiment.verify(
            "", expectation, found, REFUSED_SEC, experiment.ground_truth(speech=False)
        )
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)

    return run


def _deleted(experiment: Experiment) -> None:
    """Delete the recording after the server opened it and before it is decoded."""
    path = recordings.spoken(experiment.own_sandbox.audio / "deleted.wav")
    since, decoder = len(experiment.server.lines), int(experiment.server.component("audio")["pid"])
    send(decoder, signal.SIGSTOP)
    with experiment.call_in_background(file_path=str(path)) as call:
        try:
            experiment.server.wait_for_line(lambda raw: "deleted.wav" in raw, REFUSED_SEC, since)
            path.unlink()
        finally:
            send(decoder, signal.SIGCONT)
    found = call.result()
    experiment.verify("", RECOGNISED, found)


def _dead_mount(experiment: Experiment) -> None:
    """Let the file system of an audio folder stop answering, as a share whose server is gone."""
    root, silent = experiment.own_sandbox.audio / "share", experiment.ground_truth(speech=False)
    with dead_mount.dead_mount(root, experiment.clip()) as share:
        path = str(share.file)
        experiment.verify("before", RECOGNISED, experiment.call(file_path=path))
        share.die()
        found = experiment.call(file_path=path)
        experiment.verify("", refused(503, "storage-unresponsive"), found, REFUSED_SEC, silent)
        experiment.verify("another call", RECOGNISED, experiment.call())
        share.revive()
        experiment.verify("alive again", RECOGNISED, experiment.call(file_path=path))
    root.rmdir()


def _cut(path: Path) -> Path:
    whole = recordings.clip()
    return recordings.raw(path, whole[: len(whole) // 2])


def _too_large(path: Path) -> Path:
    return recordings.raw(path, recordings.clip() + bytes(3_400_000))


def _hostile(make: Callable[[Path, str], Path]) -> Callable[[Experiment], None]:
    """Refer to a real file and to an address of the drill's: neither may be opened."""

    def run(experiment: Experiment) -> None:
        expectation, silent = refused(415, "not-audio"), experiment.ground_truth(speech=False)
        target = experiment.clip("named.wav")
        found = experiment.call(make(experiment.folder / "list.wav", str(target)))
        experiment.verify("a file", expectation, found, REFUSED_SEC, silent)
        with experiment.agent(answer(200), answer(200, recordings.clip())) as decoy:
            found = experiment.call(make(experiment.folder / "list.wav", f"{decoy.base}/call.wav"))
            experiment.verify("an address", expectation, found, REFUSED_SEC, silent)
        experiment.verify_condition(
            "nothing is opened", not decoy.requests, "the address was asked"
        )

    return run


def _endless(experiment: Experiment) -> None:
    found = experiment.target.upload_stream(_without_end())
    expectation = refused(413, "body-too-large")
    experiment.verify("", expectation, found, REFUSED_SEC, experiment.ground_truth(speech=False))


def _without_end() -> Iterator[bytes]:
    """Yield a form that is longer than the limit and never ends."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    for _ in range(_ENDLESS_BYTES // 65536):
        yield bytes(65536)


def _language(experiment: Experiment) -> None:
    found = experiment.call(language="xx")
    experiment.verify(
        "", refused(400, "bad-field"), found, REFUSED_SEC, experiment.ground_truth(speech=False)
    )


def _afterwards(experiment: Experiment) -> None:
    experiment.verify("", RECOGNISED, experiment.call())


def _can_mount() -> str | None:
    return None if dead_mount.supported() else "a file system is mounted by root on Linux only"


def _held_open() -> str | None:
    return None if LINUX else "a recording is held open on Linux only"


def _scenario(
    name: str,
    status: int,
    slug: str,
    run: Callable[[Expectation], Callable[[Experiment], None]],
    *covers: str,
    external: bool = False,
) -> Scenario:
    expectation = refused(status, slug)
    return Scenario(
        f"recording {name}",
        expectation.description,
        run(expectation),
        PLAIN,
        covers,
        _SHOWS,
        external=external,
    )


def _uploaded(
    make: Callable[[Path], Path],
) -> Callable[[Expectation], Callable[[Experiment], None]]:
    return lambda expectation: _upload(make, expectation)


def _found(make: Callable[[Path], object]) -> Callable[[Expectation], Callable[[Experiment], None]]:
    return lambda expectation: _read_from_folder(make, expectation)


def _constant(
    run: Callable[[Experiment], None],
) -> Callable[[Expectation], Callable[[Experiment], None]]:
    return lambda _expectation: run


def _bomb(path: Path) -> Path:
    return recordings.bomb(path, hours=0.5)


SCENARIOS = (
    _scenario("missing", 404, "no-such-file", _found(lambda _path: None)),
    Scenario(
        "recording deleted while it waits",
        RECOGNISED.description,
        _deleted,
        PLAIN,
        precondition=_held_open,
    ),
    Scenario(
        "audio folder on a dead share",
        "HTTP 503 there, no other call waits",
        _dead_mount,
        PLAIN,
        precondition=_can_mount,
    ),
    _scenario("is a folder", 400, "folder", _found(Path.mkdir)),
    _scenario(
        "cannot be read", 400, "audio-unreadable", _found(recordings.pipe), "AudioUnreadable",
    ),
    _scenario(
        "empty", 415, "audio-empty",
        _uploaded(lambda path: recordings.raw(path, b"")), "AudioEmpty", external=True,
    ),
    _scenario(
        "not audio", 415, "not-audio",
        _uploaded(lambda path: recordings.raw(path, b"no sound " * 999)), "NotAudio", external=True,
    ),
    _scenario("cut", 415, "audio-truncated", _uploaded(_cut), "AudioTruncated", external=True),
    _scenario(
        "damaged", 415, "audio-damaged",
        _uploaded(recordings.damaged), "AudioDamaged", external=True,
    ),
    _scenario(
        "of too many channels", 413, "audio-too-many-channels",
        _uploaded(lambda path: recordings.many_channels(path, 20)), "AudioTooManyChannels",
    ),
    _scenario("too large", 413, "audio-too-large", _uploaded(_too_large), "AudioTooLarge"),
    _scenario(
        "too long", 413, "audio-too-long",
        _uploaded(lambda path: recordings.silence(path, 62.0)), "AudioTooLong",
    ),
    _scenario("a decompression bomb", 413, "audio-too-long", _uploaded(_bomb), "AudioTooLong"),
    _scenario("without end", 413, "body-too-large", _constant(_endless)),
    _scenario(
        "a playlist in disguise", 415, "not-audio",
        _constant(_hostile(recordings.hls)), "NotAudio", external=True,
    ),
    _scenario(
        "a list of parts in disguise", 415, "not-audio",
        _constant(_hostile(recordings.concat)), "NotAudio", external=True,
    ),
    _scenario(
        "in a language that is none", 400, "bad-field",
        _constant(_language), "InvalidRequest", external=True,
    ),
    Scenario(
        "recordings refused, the next call",
        RECOGNISED.description, _afterwards, PLAIN, external=True,
    ),
)  # fmt: skip
