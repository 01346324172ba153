"""Who is before the page: sessions, cookies, what each role may do, and requests of other pages."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from starlette.requests import Request
from starlette.responses import Response

from api_server.access.people import LoggedIn, LoginRefused
from api_server.container import Service
from api_server.settings import LOOPBACK, Settings
from api_server.store.review_records import Role, Visitor
from api_server.web.errors import FOREIGN, NO_SESSION, NOT_ALLOWED, Refused
from api_server.web.passwords import Busy, PasswordCheck
from stt_engine.events import emit

if TYPE_CHECKING:
    from api_server.store.store import Store

PutCookie = Callable[[Response], None]

Permission = Literal["see", "decide", "settle", "upload"]

MAY: Mapping[Role, frozenset[Permission]] = {
    "viewer": frozenset({"see"}),
    "auditor": frozenset({"see"}),
    "reviewer": frozenset({"see", "decide", "upload"}),
    "senior": frozenset({"see", "decide", "settle", "upload"}),
    "admin": frozenset({"see", "upload"}),
}
"""What a role may do; who keeps the accounts decides nothing."""

DEMO: Mapping[str, Role] = {
    "demo-reviewer-1": "reviewer",
    "demo-reviewer-2": "reviewer",
    "demo-senior": "senior",
}
"""The people that anybody may be on a machine of their own."""

_SAFE = {"GET", "HEAD"}
_MINUTE, _HOUR = 60.0, 3600.0
_PLAIN, _SECURE = "stt_review", "__Host-stt_review"
_LOGIN = (
    "이름이나 비밀번호가 맞지 않습니다.",
    "The name or the password is wrong.",
)
_WAIT = (
    "여러 번 틀려 잠시 기다려야 합니다. {sec}초 뒤에 다시 하십시오.",
    "Too many wrong passwords: try again in {sec} s.",
)
_BUSY = ("지금은 로그인이 몰려 있습니다. 다시 하십시오.", "Too many log in now: try again.")
_NEEDS_TLS = (
    "암호화되지 않은 연결에서는 로그인할 수 없습니다. https 주소로 여십시오.",
    "Nobody logs in over a connection that is not encrypted: use the https address.",
)


def check_origin(request: Request) -> None:
    """Return where a request that changes something comes from this page.

    Raises:
        Refused: it comes from another one, or does not say.
    """
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if site is not None:
        if site != "same-origin":
            raise FOREIGN
    elif origin != f"{request.url.scheme}://{host}":
        raise FOREIGN


class Identity:
    """Sessions of the page.

    Args:
        service: the server.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._settings: Settings = service.settings
        self._check = PasswordCheck()

    async def visitor(self, request: Request) -> Visitor | None:
        """Return who is logged in, if somebody is.

        Raises:
            StoreUnavailable: nobody can know.
        """
        token = request.cookies.get(_name(request))
        if not token:
            return None
        idle = self._settings.review_idle_min * _MINUTE
        longest = self._settings.review_session_hours * _HOUR
        digest = _digest(token)
        found = await self._service.desk.run(
            lambda store: store.accounts.visitor(digest, idle, longest), make=True
        )
        if found is not None and found.demo and not await self.offers_demo(request):
            return None
        return found

    async def require(self, request: Request, permission: Permission) -> Visitor:
        """Return who is logged in and may do this.

        Raises:
            Refused: nobody is, or they may not.
            StoreUnavailable: nobody can know.
        """
        found = await self.visitor(request)
        if found is None:
            raise NO_SESSION
        if permission not in MAY[found.role]:
            raise NOT_ALLOWED
        return found

    async def offers_demo(self, request: Request) -> bool:
        """Return whether anybody may try the page: on loopback, without keys and accounts."""
        settings = self._settings
        alone = (
            settings.api_host in LOOPBACK
            and not self._service.keys.required
            and not settings.api_allowed_hosts
            and not settings.api_trusted_proxies
            and "x-forwarded-for" not in request.headers
            and "forwarded" not in request.headers
        )
        return alone and not await self._service.desk.run(
            lambda store: store.accounts.exist(), make=True
        )

    async def log_in(
        self, request: Request, name: str, password: str
    ) -> Callable[[Response], None]:
        """Begin a session; what is returned puts its cookie into the response.

        Raises:
            Refused: the password is wrong, the account is locked or rests.
            StoreUnavailable: nobody can know.
        """
        self._require_private(request)
        desk = self._service.desk
        attempt = await desk.run(lambda store: store.accounts.attempt(name), make=True)
        if attempt.wait_sec > 0:
            self._tell(name, "waits")
            seconds = str(round(attempt.wait_sec + 0.5))
            raise Refused(429, (_WAIT[0].format(sec=seconds), _WAIT[1].format(sec=seconds)))
        try:
            right = await self._check.matches(attempt.secret_hash, password)
        except Busy:
            raise Refused(503, _BUSY) from None
        if not right:
            await desk.run(lambda store: store.accounts.failed(name))
        if not right or attempt.locked:
            self._tell(name, "locked" if right else "password")
            raise Refused(403, _LOGIN)
        return await self._begin(request, name, None)

    async def log_in_as_demo(self, request: Request, name: str) -> PutCookie:
        """Begin a session of one of :data:`DEMO`; see :meth:`log_in`."""
        if name not in DEMO or not await self.offers_demo(request):
            raise NOT_ALLOWED
        return await self._begin(request, name, DEMO[name])

    async def log_out(self, request: Request) -> PutCookie:
        """End the session; what is returned takes its cookie back."""
        name = _name(request)
        token = request.cookies.get(name)
        if token:
            digest = _digest(token)
            await self._service.desk.run(lambda store: store.accounts.end(digest), make=True)
        secure = request.url.scheme == "https"
        return lambda response: response.delete_cookie(
            name, path="/", secure=secure, httponly=True, samesite="lax"
        )

    async def _begin(self, request: Request, user: str, demo_role: Role | None) -> PutCookie:
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        longest = self._settings.review_session_hours * _HOUR

        def begin(store: Store) -> None:
            """Forget old sessions and begin this one."""
            store.accounts.sweep(longest)
            store.accounts.begin(digest, user, demo_role)

        await self._service.desk.run(begin, make=True)
        emit(self._service.observers, LoggedIn(name=user, demo=demo_role is not None))
        name, secure = _name(request), request.url.scheme == "https"
        return lambda response: response.set_cookie(
            name, token, path="/", secure=secure, httponly=True, samesite="lax"
        )

    def _tell(self, name: str, why: Literal["password", "locked", "waits"]) -> None:
        emit(self._service.observers, LoginRefused(name=name, why=why))

    def _require_private(self, request: Request) -> None:
        """Refuse a password that would cross a network in the clear."""
        if request.url.scheme != "https" and request.url.hostname not in LOOPBACK:
            raise Refused(403, _NEEDS_TLS)


def _name(request: Request) -> str:
    return _SECURE if request.url.scheme == "https" else _PLAIN


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
