"""Debian's Firefox by Marionette, its own protocol: JSON over a socket, and no package between."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.llm_server import free_port

TAB, ENTER = "\ue004", "\ue007"
_START_SEC, _ANSWER_SEC, _LOOK_SEC = 60.0, 60.0, 0.02
_PREFS = {
    "media.autoplay.default": 0,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "intl.accept_languages": "ko-KR, ko",
    "media.volume_scale": "0.0",
}


def firefox_program() -> str | None:
    """Return the program, if it is here."""
    return os.environ.get("FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """One browser with one window."""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)
        self._read = self._socket.makefile("rb")
        self._number = 0
        self.version = (
            json.loads(self._message())
            and self.send(
                "WebDriver:NewSession",
                {"capabilities": {"alwaysMatch": {"timeouts": {"script": 60_000}}}},
            )["capabilities"]["browserVersion"]
        )

    def open(self, url: str) -> None:
        self.send("WebDriver:Navigate", {"url": url})

    @property
    def url(self) -> str:
        return str(self.ask("return location.href"))

    def ask(self, script: str) -> Any:
        given = {"script": script, "args": [], "sandbox": "default"}
        return self.send("WebDriver:ExecuteScript", given)["value"]

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _ANSWER_SEC
        while not self.ask(f"return Boolean({script})"):
            assert time.monotonic() < until, f"waited in vain: {script}"
            time.sleep(_LOOK_SEC)

    def press(self, *keys: str) -> None:
        """Press keys, as a keyboard does, wherever the focus is."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        board = [{"type": "key", "id": "keyboard", "actions": steps}]
        self.send("WebDriver:PerformActions", {"actions": board})

    def focus_by_tab(self, words: str, most: int = 60) -> None:
        """Press Tab until what says ``words`` has the focus."""
        for _ in range(most):
            self.press(TAB)
            if words in str(self.ask("return document.activeElement.textContent")):
                return
        raise AssertionError(f"Tab never comes to {words!r}")

    def send(self, command: str, given: dict[str, Any]) -> Any:
        self._number += 1
        raw = json.dumps([0, self._number, command, given]).encode()
        self._socket.sendall(b"%d:%b" % (len(raw), raw))
        kind, number, error, result = json.loads(self._message())
        assert (kind, number) == (1, self._number)
        assert error is None, f"{command}: {error}"
        return result

    def close(self) -> None:
        self._read.close()
        self._socket.close()

    def _message(self) -> bytes:
        length = b""
        while (one := self._read.read(1)) != b":":
            assert one, "Firefox has ended"
            length += one
        return self._read.read(int(length))


def _connected(port: int) -> socket.socket:
    until = time.monotonic() + _START_SEC
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SEC)
        except OSError:
            assert time.monotonic() < until, "Firefox does not listen"
            time.sleep(_LOOK_SEC)


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Run a browser with an empty profile for the length of a block."""
    port = free_port()
    prefs = {**_PREFS, "marionette.port": port}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(one)});" for name, one in prefs.items())
    profile.mkdir()
    (profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
    program = firefox_program()
    assert program is not None
    process = subprocess.Popen(
        [program, "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
        env={**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = Firefox(port)
        try:
            yield found
        finally:
            found.close()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
