"""Asks ``/health/live`` while a server is attacked."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

import httpx2

_EVERY_SEC = 0.05
_NO_ANSWER_SEC = 30.0
_OK = 200


@contextmanager
def watched(base: str) -> Iterator[list[float]]:
    """Watch a server from a process of its own: attackers keep theirs busy for seconds.

    The list that is yielded has the longest answer, in seconds, once the block is left.
    """
    spawn = multiprocessing.get_context("spawn")
    over, longest = spawn.Event(), list[float]()
    answers, sender = spawn.Pipe(duplex=False)
    watcher = spawn.Process(target=_watch, args=(base, over, sender), daemon=True)
    watcher.start()
    sender.close()  # where the watcher dies, the pipe ends
    try:
        yield longest
    finally:
        over.set()
        longest.append(answers.recv())
        watcher.join()


def _watch(base: str, over: Event, longest: Connection) -> None:
    took = [0.0]
    with httpx2.Client(base_url=base, timeout=_NO_ANSWER_SEC, trust_env=False) as client:
        while not over.is_set():
            took.append(_answer_sec(client))
            over.wait(_EVERY_SEC)
    longest.send(max(took))


def _answer_sec(client: httpx2.Client) -> float:
    began = time.perf_counter()
    try:
        answer = client.get("/health/live")
    except httpx2.TransportError:
        return _NO_ANSWER_SEC
    return time.perf_counter() - began if answer.status_code == _OK else _NO_ANSWER_SEC
