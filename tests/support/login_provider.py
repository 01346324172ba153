"""An OpenID Connect provider of the tests' own, which lies where it is told to.

That an honest one of other people's works is shown by `make test-web`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

CLIENT, SECRET = "stt", "a secret of the client"


def _nothing(_: Any) -> None:
    """Change nothing."""


@dataclass
class Provider:
    """Who says who people are. ``twist`` changes the claims of a token before it is signed."""

    base: str
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "1", "preferred_username": "김검토", "groups": ["reviews"]}
    )
    keys: KeySet = field(default_factory=lambda: _keys("first"))
    published: KeySet | None = None
    twist: Callable[[dict[str, Any]], None] = _nothing
    forge: Callable[[dict[str, Any]], str] | None = None
    describe: Callable[[dict[str, Any]], None] = _nothing
    checks: bool = True
    stop: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def log_in(self, url: str) -> dict[str, str]:
        """Return the query that somebody comes back with who has logged in at ``url``."""
        query = {name: one[0] for name, one in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"], "iss": self.base}

    def rotate(self) -> None:
        """Sign with another key from now on."""
        self.keys = _keys("second")

    def token(self, asked: dict[str, str]) -> str:
        """Return the ID token for what was asked."""
        now = int(time.time())
        claims = {
            "iss": self.base,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.claims,
        }
        self.twist(claims)
        if self.forge is not None:
            return self.forge(claims)
        key = self.keys.keys[0]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token that says that it needs no signature."""
    head, body = (_b64(json.dumps(one).encode()) for one in ({"alg": "none"}, claims))
    return f"{head}.{body}."


def signed_with_the_secret(claims: dict[str, Any]) -> str:
    """Return a token that whoever knows the client's secret can make."""
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


def _keys(name: str) -> KeySet:
    return KeySet([RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})])


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@contextmanager
def provider(port: int = 0) -> Iterator[Provider]:
    """Run one for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        """Answers for the provider of this block."""

        def do_GET(self) -> None:
            """Describe it, and publish its keys."""
            found.asked.append(self.path)
            if self.path == "/.well-known/openid-configuration":
                said = {
                    "issuer": found.base,
                    "authorization_endpoint": f"{found.base}/auth",
                    "token_endpoint": f"{found.base}/token",
                    "jwks_uri": f"{found.base}/keys",
                    "userinfo_endpoint": f"{found.base}/userinfo",
                    "end_session_endpoint": f"{found.base}/end",
                    "authorization_response_iss_parameter_supported": True,
                }
                found.describe(said)
                self._answer(200, said)
            else:
                published = found.published or found.keys
                self._answer(200, dict(published.as_dict(private=False)))

        def do_POST(self) -> None:
            """Exchange a code, once, for who proves to have begun it."""
            found.asked.append(self.path)
            raw = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: one[0] for name, one in parse_qs(raw).items()}
            basic = base64.b64decode(self.headers["authorization"].removeprefix("Basic "))
            asked = found.codes.get(form["code"])
            right = basic == f"{CLIENT}:{SECRET.replace(' ', '%20')}".encode()
            if asked is None or (found.checks and not (right and _is_proved(form, asked))):
                self._answer(400, {"error": "invalid_grant"})
                return
            if found.checks:
                del found.codes[form["code"]]
            self._answer(200, {"access_token": "x", "id_token": found.token(asked)})

        def _answer(self, status: int, said: dict[str, Any]) -> None:
            raw = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Keep the log of the tests as it is."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    found = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop() -> None:
        """Have nobody listen any more."""
        server.shutdown()
        server.server_close()
        thread.join()

    found.stop = stop
    try:
        yield found
    finally:
        stop()


def _is_proved(form: dict[str, str], asked: dict[str, str]) -> bool:
    challenge = _b64(hashlib.sha256(form["code_verifier"].encode()).digest())
    return (challenge, form["redirect_uri"]) == (asked["code_challenge"], asked["redirect_uri"])
