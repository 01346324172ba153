"""Who is before the page: sessions, cookies, what each role may do, and requests of other pages."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from starlette.requests import Request
from starlette.responses import Response

from api_server.access.people import LoggedIn, LoginRefused, Why
from api_server.container import Service
from api_server.settings import LOOPBACK, Settings
from api_server.store.review_records import Denied, Role, Visitor
from api_server.web.errors import FOREIGN, NO_SESSION, NOT_ALLOWED, Refused
from api_server.web.passwords import Busy, PasswordCheck
from api_server.web.vouched import HeaderRefused, ProxyHeaders, Vouched
from api_server.web.words import Pair
from stt_engine.events import emit

if TYPE_CHECKING:
    from api_server.store.store import Store

PutCookie = Callable[[Response], None]

Permission = Literal["see", "decide", "settle", "upload", "govern"]

MAY: Mapping[Role, frozenset[Permission]] = {
    "viewer": frozenset({"see"}),
    "auditor": frozenset({"see"}),
    "reviewer": frozenset({"see", "decide", "upload"}),
    "senior": frozenset({"see", "decide", "settle", "upload", "govern"}),
    "admin": frozenset({"see", "upload", "govern"}),
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
_SAID_SEC = 900.0
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

_HEADER = Refused(
    403,
    (
        "이 요청은 로그인한 사람을 헤더로 말하지만, 믿을 수 있는 프록시에서 오지 않았습니다.",
        "The request says in a header who sends it, and does not come from a trusted proxy.",
    ),
)
_USED = ("이미 쓴 로그인입니다. 다시 로그인하십시오.", "This login was used already. Begin again.")
_DENIED: Mapping[str, Pair] = {
    "locked": ("잠긴 계정입니다. 관리자에게 문의하십시오.", "The account is locked."),
    "taken": (
        "이 이름은 이 서버에서 다른 계정의 것입니다. 관리자에게 문의하십시오.",
        "The name is another account's on this server.",
    ),
    "unknown": ("이 서버에 계정이 없습니다.", "You have no account on this server."),
    "no_role": (
        "이 페이지를 쓸 수 있는 그룹에 들어 있지 않습니다.",
        "You are in no group that may use this page.",
    ),
}


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
        self._headers = ProxyHeaders(self._settings)
        self._proxied: dict[str, float] = {}

    def check_sender(self, request: Request) -> Vouched | None:
        """Return who a trusted proxy says that this is, if it does.

        Raises:
            Refused: somebody else says so.
        """
        try:
            return self._headers.read(request)
        except HeaderRefused as exc:
            self.tell_refused(exc.name, "header", str(exc))
            raise _HEADER from None

    async def visitor(self, request: Request) -> Visitor | None:
        """Return who is logged in, if somebody is; whom a proxy names has no session here.

        Raises:
            Refused: a proxy names somebody who is not let in.
            StoreUnavailable: nobody can know.
        """
        vouched = self.check_sender(request)
        if vouched is not None:
            self.require_private(request)
            named = await self._entered(vouched)
            self._note_proxied(named.name)
            return replace(named, proxied=True)
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
            and not settings.others_vouch
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
        self.require_private(request)
        desk = self._service.desk
        attempt = await desk.run(lambda store: store.accounts.attempt(name), make=True)
        if attempt.wait_sec > 0:
            self.tell_refused(name, "waits")
            seconds = str(round(attempt.wait_sec + 0.5))
            raise Refused(429, (_WAIT[0].format(sec=seconds), _WAIT[1].format(sec=seconds)))
        try:
            right = await self._check.matches(attempt.secret_hash, password)
        except Busy:
            raise Refused(503, _BUSY) from None
        if not right:
            await desk.run(lambda store: store.accounts.failed(name))
        if not right or attempt.locked:
            self.tell_refused(name, "locked" if right else "password")
            raise Refused(403, _LOGIN)
        return await self._begin(request, name, None, "password")

    async def log_in_as_demo(self, request: Request, name: str) -> PutCookie:
        """Begin a session of one of :data:`DEMO`; see :meth:`log_in`."""
        if name not in DEMO or not await self.offers_demo(request):
            raise NOT_ALLOWED
        return await self._begin(request, name, DEMO[name], "demo")

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

    async def let_in(self, request: Request, vouched: Vouched, once: str) -> PutCookie:
        """Begin a session of whom somebody else vouches for; ``once``: it is good for one.

        Raises:
            Refused: they have no account, or it is locked or another one's.
            StoreUnavailable: nobody can know.
        """
        found = await self._entered(vouched)
        return await self._begin(request, found.name, None, "oidc", _digest(once))

    async def _entered(self, vouched: Vouched) -> Visitor:
        role = vouched.role(self._settings)
        if role is None and self._settings.review_group_roles:
            self.tell_refused(vouched.name, "no_role", ", ".join(vouched.groups))
            raise Refused(403, _DENIED["no_role"])
        enter = partial(_enter, vouched=vouched, role=role)
        found = await self._service.desk.run(enter, make=True)
        if not isinstance(found, Visitor):
            self.tell_refused(vouched.name, found)
            raise Refused(403, _DENIED[found])
        return found

    def _note_proxied(self, name: str) -> None:
        """Have the log say that somebody came by a proxy, once in a while."""
        now = time.monotonic()
        if now - self._proxied.get(name, -_SAID_SEC) >= _SAID_SEC:
            self._proxied = {one: at for one, at in self._proxied.items() if now - at < _SAID_SEC}
            self._proxied[name] = now
            emit(self._service.observers, LoggedIn(name=name, by="proxy"))

    async def _begin(
        self,
        request: Request,
        user: str,
        demo_role: Role | None,
        by: Literal["password", "demo", "oidc"],
        once: str | None = None,
    ) -> PutCookie:
        token = secrets.token_urlsafe(32)
        digest = _digest(token)
        longest = self._settings.review_session_hours * _HOUR

        def begin(store: Store) -> bool:
            """Forget old sessions and begin this one."""
            store.accounts.sweep(longest)
            return store.accounts.begin(digest, user, demo_role, once)

        if not await self._service.desk.run(begin, make=True):
            self.tell_refused(user, "proof", "it was used before")
            raise Refused(403, _USED)
        emit(self._service.observers, LoggedIn(name=user, by=by))
        name, secure = _name(request), request.url.scheme == "https"
        return lambda response: response.set_cookie(
            name, token, path="/", secure=secure, httponly=True, samesite="lax"
        )

    def tell_refused(self, name: str, why: Why, detail: str = "") -> None:
        """Have the log say that somebody was not let in."""
        emit(self._service.observers, LoginRefused(name=name, why=why, detail=detail))

    def require_private(self, request: Request) -> None:
        """Refuse a login that would cross a network in the clear."""
        if request.url.scheme != "https" and request.url.hostname not in LOOPBACK:
            raise Refused(403, _NEEDS_TLS)


def _name(request: Request) -> str:
    return _SECURE if request.url.scheme == "https" else _PLAIN


def _enter(store: Store, vouched: Vouched, role: Role | None) -> Visitor | Denied:
    return store.accounts.enter(vouched.name, vouched.origin, role)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
