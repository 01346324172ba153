"""Login at an OpenID Connect provider: there and back, bound to one browser, worth one session."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request

from api_server.clients.errors import LoginNotProved, ProviderUnavailable
from api_server.clients.login_provider import LoginAttempt, LoginProvider, ProviderTerms
from api_server.settings import Settings
from api_server.web.errors import Refused
from api_server.web.identity import Identity, PutCookie
from api_server.web.vouched import Vouched, groups_of, is_name

BACK = "/review/login/oidc/back"
"""Where the provider sends people back to."""

_PLAIN, _SECURE = "stt_login", "__Host-stt_login"
_LONGEST_SEC = 600
_LONGEST_TARGET = 1_000
_AWAY = (
    "회사 로그인 서버에 연결할 수 없습니다({why}). 이 서버의 계정으로는 로그인할 수 있습니다.",
    "Your company's login cannot be reached ({why}). This server's own accounts can log in.",
)
_NOT_PROVED = (
    "회사 로그인을 확인하지 못했습니다. 처음부터 다시 로그인하십시오.",
    "The login at your company could not be confirmed. Begin again.",
)


class ProviderLogin:
    """People of one provider.

    Args:
        settings: the provider, and what its claims mean.
        identity: begins their sessions.
    """

    def __init__(self, settings: Settings, identity: Identity) -> None:
        self._settings = settings
        self._identity = identity
        secret = settings.review_oidc_client_secret
        self._provider = LoginProvider(
            ProviderTerms(
                settings.review_oidc_issuer or "",
                settings.review_oidc_client_id,
                secret.get_secret_value() if secret else None,
                settings.review_oidc_scopes,
                settings.review_oidc_skew_sec,
            )
        )

    async def begin(self, request: Request, target: str) -> tuple[str, PutCookie]:
        """Return where a browser has to go, and what puts its cookie into the response.

        Raises:
            Refused: the provider cannot be asked, or the connection is not private.
        """
        self._identity.require_private(request)
        secret = secrets.token_urlsafe(32)
        try:
            url = await self._provider.login_url(_attempt(request, secret))
        except ProviderUnavailable as exc:
            raise self._refused(exc) from exc
        value = f"{secret}.{quote(target[:_LONGEST_TARGET], safe='')}"
        name, secure = _cookie(request), request.url.scheme == "https"
        return url, lambda response: response.set_cookie(
            name, value, _LONGEST_SEC, path="/", secure=secure, httponly=True, samesite="lax"
        )

    async def finish(self, request: Request) -> tuple[str, PutCookie]:
        """Return where somebody wanted to go, and what puts their session into the response.

        Raises:
            Refused: they did not begin here, or are not let in.
            StoreUnavailable: nobody can know.
        """
        self._identity.require_private(request)
        secret, _, target = request.cookies.get(_cookie(request), "").partition(".")
        attempt = _attempt(request, secret)
        state = request.query_params.get("state", "")
        if not secret or not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise self._refused(LoginNotProved("this browser has not begun it (state)"))
        try:
            claims = await self._provider.claims(attempt, dict(request.query_params))
        except (ProviderUnavailable, LoginNotProved) as exc:
            raise self._refused(exc) from exc
        vouched = self._vouched(claims)
        put = await self._identity.let_in(request, vouched, once=f"oidc {secret}")
        return unquote(target), lambda response: (put(response), self.forget(request)(response))[0]

    def forget(self, request: Request) -> PutCookie:
        """Return what takes the cookie of an attempt back."""
        name, secure = _cookie(request), request.url.scheme == "https"
        return lambda response: response.delete_cookie(
            name, path="/", secure=secure, httponly=True, samesite="lax"
        )

    async def logout_url(self, request: Request) -> str | None:
        """Return where somebody logs out of the provider, too.

        Raises:
            Refused: nobody knows.
        """
        try:
            return await self._provider.logout_url(_here(request, "/review/login"))
        except ProviderUnavailable as exc:
            raise self._refused(exc) from exc

    async def aclose(self) -> None:
        """Close every connection."""
        await self._provider.aclose()

    def _vouched(self, claims: Mapping[str, Any]) -> Vouched:
        name = claims.get(self._settings.review_oidc_name_claim)
        if not isinstance(name, str) or not is_name(name):
            claim = self._settings.review_oidc_name_claim
            raise self._refused(LoginNotProved(f"its ID token has no name ({claim})"))
        found: object = claims
        for part in self._settings.review_oidc_groups_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        whole = claims.get(self._settings.review_oidc_groups_claim, found)
        origin = f"oidc {self._settings.review_oidc_issuer} {claims['sub']}"
        return Vouched(name, groups_of(whole), origin)

    def _refused(self, why: ProviderUnavailable | LoginNotProved) -> Refused:
        if isinstance(why, LoginNotProved):
            self._identity.tell_refused("", "proof", str(why))
            return Refused(403, _NOT_PROVED)
        self._identity.tell_refused("", "provider", str(why))
        return Refused(503, (_AWAY[0].format(why=why), _AWAY[1].format(why=why)))


def _attempt(request: Request, secret: str) -> LoginAttempt:
    """Return what an attempt has of its own: all of it comes from one secret of the browser."""
    verifier = _part(secret, "verifier")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    return LoginAttempt(
        _here(request, BACK),
        _part(secret, "state"),
        _part(secret, "nonce"),
        verifier,
        challenge.rstrip(b"=").decode(),
    )


def _part(secret: str, of: str) -> str:
    made = hmac.new(secret.encode(), of.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _here(request: Request, path: str) -> str:
    root = request.scope.get("root_path", "")
    return f"{request.url.scheme}://{request.url.netloc}{root}{path}"


def _cookie(request: Request) -> str:
    return _SECURE if request.url.scheme == "https" else _PLAIN
