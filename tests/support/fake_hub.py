"""Servers for fetch tests: a hub that speaks what huggingface_hub asks, and a package index."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

COMMIT = "c0ffee" + "0" * 34


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Hub:
    """What the hub has, how it misbehaves, and what it was asked."""

    files: dict[str, bytes]
    storage: str | None = None
    """Where large files are sent from instead (like the real hub's CDN)."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """Bytes after which the connection is cut, one number for each GET of a file."""
    hang: bool = False
    drip: bool = False
    block_sec: float = 0.0
    status: int | None = None
    ranges: bool = True
    asked: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    """Method, file or path, Range, Authorization of each request."""
    sent: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def gets(self, name: str) -> list[str | None]:
        """Return the Range of each GET of file ``name``."""
        return [one[2] for one in self.asked if one[:2] == ("GET", name)]


class HubHandler(BaseHTTPRequestHandler):
    """GET /api/models/..., HEAD and GET /owner/name/resolve/commit/file."""

    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        name = path.partition("/resolve/")[2].partition("/")[2] or path.rpartition("/")[2]
        told = self.headers["Range"], self.headers["Authorization"]
        hub.asked.append((self.command, name, *told))
        if hub.hang:
            hub.release.wait(60)
            self.close_connection = True
        elif hub.status:
            self._head(hub.status, {"Content-Length": "0"})
        elif path.startswith("/api/models/"):
            self._listing()
        elif name not in hub.files:
            self._head(404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound"})
        elif not body:
            self._metadata(name)
        else:
            self._content(name)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _listing(self) -> None:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": git_hash(content),
                **(
                    {"lfs": {"size": len(content), "sha256": sha256(content), "pointerSize": 130}}
                    if len(content) > 10_000
                    else {}
                ),
            }
            for name, content in self.hub.files.items()
        ]
        answer = json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode()
        self._head(200, {"Content-Length": str(len(answer)), "Content-Type": "application/json"})
        self.wfile.write(answer)

    def _metadata(self, name: str) -> None:
        content = self.hub.files[name]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{sha256(content)}"'}
        if self.hub.storage and len(content) > 10_000:
            headers["Location"] = f"{self.hub.storage}/resolve/{COMMIT}/{name}"
            headers |= {"X-Linked-Size": str(len(content)), "Content-Length": "0"}
            self._head(302, headers)
        else:
            self._head(200, headers | {"Content-Length": str(len(content))})

    def _content(self, name: str) -> None:
        content, first = self.hub.files[name], 0
        if self.hub.ranges and self.headers["Range"]:
            first = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        headers = {"Content-Length": str(len(content) - first), "ETag": f'"{sha256(content)}"'}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._head(206 if first else 200, headers)
        cuts = self.hub.cuts.get(name, [])
        last = first + cuts.pop(0) if cuts else len(content)
        self._send(content[first:last])
        self.close_connection = last < len(content)

    def _send(self, content: bytes) -> None:
        block = 1 if self.hub.drip else 1 << 16
        try:
            for start in range(0, len(content), block):
                self.wfile.write(content[start : start + block])
                self.wfile.flush()
                self.hub.sent += block
                if self.hub.release.wait(0.2 if self.hub.drip else self.hub.block_sec):
                    return
        except OSError:
            self.close_connection = True  # the client has gone

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def wheel(distribution: str, version: str, members: dict[str, bytes]) -> bytes:
    """Build a wheel that holds ``members``."""
    folder = f"{distribution.replace('-', '_')}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        **members,
        f"{folder}/METADATA": head.encode(),
        f"{folder}/WHEEL": kind.encode(),
        f"{folder}/RECORD": b"",
    }
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return raw.getvalue()


@dataclass
class Index:
    """A package index: wheels by file name, and what was asked."""

    wheels: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


class IndexHandler(BaseHTTPRequestHandler):
    """The simple repository interface (PEP 503)."""

    index: ClassVar[Index]

    def do_GET(self) -> None:
        self.index.asked.append(self.path)
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            start = name.strip("/").replace("-", "_") + "-"
            links = [f'<a href="/files/{one}">{one}</a>' for one in self.index.wheels]
            body = "".join(link for link in links if f">{start}" in link).encode()
        else:
            body = self.index.wheels.get(name, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html" if kind == "simple" else "application/zip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients are killed on purpose here."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of the loopback; gives the URL."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving_hub(hub: Hub) -> Iterator[str]:
    """Serve ``hub``; gives its URL."""
    with serving(type("Handler", (HubHandler,), {"hub": hub})) as url:
        try:
            yield url
        finally:
            hub.release.set()


@contextmanager
def serving_index(index: Index) -> Iterator[str]:
    """Serve ``index``; gives the URL for pip."""
    with serving(type("Handler", (IndexHandler,), {"index": index})) as url:
        yield f"{url}/simple/"
