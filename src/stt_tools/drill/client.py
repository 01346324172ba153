"""An HTTP client that returns an :class:`Answer` for every request, also where none came."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from stt_tools.drill.expectations import Answer

TIMEOUT_SEC = 400.0
"""Longest wait for any answer; documented bounds are shorter."""

_FORM = "application/x-www-form-urlencoded"


class DrillError(Exception):
    """The drill itself failed: its results say nothing about the server."""


@dataclass
class Target:
    """The address of a server and its API key."""

    base: str
    key: str | None = None

    def get(self, path: str, timeout_sec: float = 10.0) -> Answer:
        """Send a GET request."""
        return self._request("GET", path, None, {}, timeout_sec)

    def page(self, path: str) -> str:
        """Return the text of a plain page, empty where there is none."""
        return str(self.get(path).body.get("text/plain", ""))

    def transcribe(self, form: Mapping[str, str], upload: Path | None = None) -> Answer:
        """Send a recording, by upload or as ``file_path`` in the form."""
        return self.post("/transcribe", form, upload)

    def post(self, path: str, form: Mapping[str, str], upload: Path | None = None) -> Answer:
        """Send a form, with a recording in it or without."""
        identity = f"drill-{uuid.uuid4().hex[:12]}"
        if upload is None:
            body, kind = urlencode(dict(form)).encode(), _FORM
        else:
            body, kind = _multipart(form, upload, identity)
        headers = {"Content-Type": kind, "X-Request-ID": identity}
        return self._request("POST", path, body, headers, TIMEOUT_SEC)

    def analyze(self, call: Iterable[tuple[str, str]], agent_url: str) -> Answer:
        """Send a transcript, turns of (speaker, text), to be checked."""
        turns = [{"speaker": speaker, "text": text} for speaker, text in call]
        body = json.dumps({"segments": turns, "agent_url": agent_url}).encode()
        headers = {
            "Content-Type": "application/json",
            "X-Request-ID": f"drill-{uuid.uuid4().hex[:12]}",
        }
        return self._request("POST", "/analyze", body, headers, TIMEOUT_SEC)

    def upload_stream(self, body: Iterable[bytes]) -> Answer:
        """Send an upload of undeclared length until an answer comes."""
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return self._request("POST", "/transcribe", body, headers, TIMEOUT_SEC)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
        timeout_sec: float,
    ) -> Answer:
        began = time.monotonic()
        keys = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        connection = _connection(self.base, timeout_sec)
        try:
            _send(connection, method, path, body, {**headers, **keys})
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as exc:
            error = {"error": f"{type(exc).__name__}: {exc}"}
            return Answer(0, error, time.monotonic() - began)
        finally:
            connection.close()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, _body(raw, received), time.monotonic() - began, received)


def _connection(base: str, timeout_sec: float) -> http.client.HTTPConnection:
    parts = urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=timeout_sec)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> None:
    chunked = body is not None and not isinstance(body, bytes)
    extra = {"Transfer-Encoding": "chunked"} if chunked else {}
    try:
        connection.request(method, path, body, {**headers, **extra}, encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        if connection.sock is None:
            raise  # otherwise the server answered early: its answer can be read


def _multipart(form: Mapping[str, str], upload: Path, boundary: str) -> tuple[bytes, str]:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
    ]
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{upload.name}"'
        "\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    body = "".join([*parts, file]).encode() + upload.read_bytes() + f"\r\n--{boundary}--".encode()
    return body + b"\r\n", f"multipart/form-data; boundary={boundary}"


def _body(raw: bytes, headers: Mapping[str, str]) -> dict[str, object]:
    if "json" not in headers.get("content-type", ""):
        return {"text/plain": raw.decode(errors="replace")}
    try:
        found = json.loads(raw)
    except ValueError:
        return {"not JSON": raw[:200].decode(errors="replace")}
    return found if isinstance(found, dict) else {"not an object": str(found)[:200]}
