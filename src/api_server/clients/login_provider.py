"""Has people logged in by an OpenID Connect provider: the code flow with PKCE, and nothing else.

What is believed is the signed ID token alone; ``userinfo`` is never asked. Keys are the provider's
own (``jwks_uri``), read again where a token names one that is not known. No redirect is followed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote, urlencode

import anyio
import httpx2
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from api_server.clients.errors import LoginNotProved, ProviderUnavailable
from api_server.clients.http import (
    UNSENDABLE,
    BodyTooLarge,
    create_client,
    describe_root_cause,
    is_packed,
    read_body,
)
from api_server.settings.sign_on import check_people_url

_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""Signatures that only the provider can make: neither ``none`` nor a secret that others have."""

_CONNECT_SEC, _CALL_SEC = 3.0, 10.0
_MOST_BYTES = 512 * 1024
_KNOWN_SEC, _AGAIN_SEC = 3600.0, 5.0
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    """What this server and the provider know of each other. ``skew_sec``: of the two clocks."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: str = "openid profile"
    skew_sec: float = 60.0


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """What one attempt to log in has of its own; ``verifier`` is PKCE's."""

    redirect_uri: str
    state: str
    nonce: str
    verifier: str
    challenge: str


class LoginProvider:
    """The client of one provider.

    Args:
        terms: see :class:`ProviderTerms`.
        clock: seconds since 1970, UTC.
        monotonic: seconds, for what is kept of the provider.
    """

    def __init__(
        self,
        terms: ProviderTerms,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terms = terms
        self._clock = clock
        self._monotonic = monotonic
        self._client = create_client(_CONNECT_SEC)
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def login_url(self, attempt: LoginAttempt) -> str:
        """Return where a browser has to go. The provider is asked: nobody is sent to a dead one.

        Raises:
            ProviderUnavailable: nobody knows.
        """
        place = _place(await self._described(oldest_sec=0.0), "authorization_endpoint")
        query = {
            "response_type": "code",
            "client_id": self._terms.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": self._terms.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"

    async def logout_url(self, back: str) -> str | None:
        """Return where a browser logs out of the provider, and comes ``back`` from.

        Raises:
            ProviderUnavailable: nobody knows.
        """
        described = await self._described()
        if "end_session_endpoint" not in described:
            return None
        place = _place(described, "end_session_endpoint")
        query = {"client_id": self._terms.client_id, "post_logout_redirect_uri": back}
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"

    async def claims(self, attempt: LoginAttempt, answer: Mapping[str, str]) -> Mapping[str, Any]:
        """Return what the provider has signed of who came back with ``answer``, a query.

        Raises:
            ProviderUnavailable: it cannot be asked.
            LoginNotProved: the answer is another one's, or says nothing that can be believed.
        """
        described = await self._described()
        named = answer.get("iss")
        always = described.get("authorization_response_iss_parameter_supported") is True
        if (named is None and always) or named not in {None, self._terms.issuer}:
            raise LoginNotProved("the answer is another provider's (iss)")
        if "error" in answer:
            raise LoginNotProved(f"the provider says {answer['error'][:100]!r}")
        token = await self._exchanged(described, attempt, answer.get("code", ""))
        return await self._believed(described, token, attempt.nonce)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _described(self, oldest_sec: float = _KNOWN_SEC) -> Mapping[str, Any]:
        """Return what the provider says of itself, and has said ``oldest_sec`` ago at most."""
        if self._metadata is None or self._monotonic() - self._metadata[0] >= oldest_sec:
            url = f"{self._terms.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = await self._asked("GET", url)
            if found.get("issuer") != self._terms.issuer:
                raise ProviderUnavailable("it says that it is another issuer")
            self._metadata = self._monotonic(), found
        return self._metadata[1]

    async def _exchanged(
        self, described: Mapping[str, Any], attempt: LoginAttempt, code: str
    ) -> str:
        """Return the ID token that a code is worth."""
        if not code:
            raise LoginNotProved("the answer has no code")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        client, secret = self._terms.client_id, self._terms.client_secret
        methods = described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        auth = None
        if secret is not None and "client_secret_basic" in methods:
            auth = httpx2.BasicAuth(quote(client, safe=""), quote(secret, safe=""))
        else:
            form |= {"client_id": client} | ({"client_secret": secret} if secret else {})
        found = await self._asked("POST", _place(described, "token_endpoint"), form, auth)
        token = found.get("id_token")
        if not isinstance(token, str):
            raise LoginNotProved("the provider has given no ID token")
        return token

    async def _believed(
        self, described: Mapping[str, Any], token: str, nonce: str
    ) -> Mapping[str, Any]:
        """Return the claims of an ID token that holds."""
        skew = int(self._terms.skew_sec)
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=skew,
            iss={"essential": True, "value": self._terms.issuer},
            aud={"essential": True, "value": self._terms.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = await self._verified(described, token)
            registry.validate(claims)
        except JoseError as exc:
            raise LoginNotProved(f"its ID token does not hold: {exc}") from exc
        party = claims.get("azp")
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if party != self._terms.client_id and (several or party is not None):
            raise LoginNotProved("its ID token was made for another client (azp)")
        return claims

    async def _verified(self, described: Mapping[str, Any], token: str) -> dict[str, Any]:
        """Return the claims of a token whose signature holds, by the provider's keys of now."""
        keys = await self._known_keys(described, _KNOWN_SEC)
        try:
            return jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
        except InvalidKeyIdError:  # they have been changed
            again = await self._known_keys(described, _AGAIN_SEC)
            return jwt.decode(token, again, algorithms=_ALGORITHMS).claims
        except ValueError as exc:
            raise LoginNotProved("its ID token is none") from exc

    async def _known_keys(self, described: Mapping[str, Any], oldest_sec: float) -> KeySet:
        if self._keys is None or self._monotonic() - self._keys[0] > oldest_sec:
            found = await self._asked("GET", _place(described, "jwks_uri"))
            try:
                keys = KeySet.import_key_set(found)  # type: ignore[arg-type] # it is looked at there
            except (JoseError, ValueError, TypeError, KeyError, AttributeError) as exc:
                raise ProviderUnavailable("its keys cannot be read") from exc
            self._keys = self._monotonic(), keys
        return self._keys[1]

    async def _asked(
        self,
        method: Literal["GET", "POST"],
        url: str,
        form: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
    ) -> dict[str, Any]:
        """Return a JSON object from the provider."""
        try:
            with anyio.fail_after(_CALL_SEC):
                request = self._client.build_request(method, url, data=form)
                response = await self._client.send(request, stream=True, auth=auth)
                try:
                    body = await read_body(response, _MOST_BYTES)
                finally:
                    await response.aclose()
        except TimeoutError as exc:
            raise ProviderUnavailable(f"no answer in {_CALL_SEC:g} s") from exc
        except BodyTooLarge as exc:
            raise ProviderUnavailable("its answer is too long") from exc
        except (*UNSENDABLE, httpx2.HTTPError) as exc:
            raise ProviderUnavailable(describe_root_cause(exc)) from exc
        return _object_of(response, body, refuses=form is not None)


def _object_of(response: httpx2.Response, body: bytes, *, refuses: bool) -> dict[str, Any]:
    """Return the object in an answer; ``refuses``: 4xx says that what was sent is worth nothing."""
    status = response.status_code
    if refuses and _CLIENT_ERROR <= status < _SERVER_ERROR:
        raise LoginNotProved(f"the provider refuses the code: HTTP {status}")
    if not response.is_success:
        raise ProviderUnavailable(f"HTTP {status}")
    try:
        found = None if is_packed(response) else json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderUnavailable("its answer is no JSON object")
    return found


def _place(described: Mapping[str, Any], name: str) -> str:
    """Return an address that the provider names; over a network it is encrypted."""
    url = described.get(name)
    try:
        return check_people_url(url if isinstance(url, str) else "")
    except ValueError as exc:
        raise ProviderUnavailable(f"its {name} cannot be used: {exc}") from exc
