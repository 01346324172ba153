"""Who vouches for the people before the page, beside its own accounts."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr, field_validator

from api_server.settings.access import LOOPBACK
from api_server.settings.addresses import Address
from api_server.settings.base import CommaSeparated, EmptyIsNone, Section

ROLES = ("viewer", "reviewer", "senior", "auditor", "admin")
"""The roles of the page."""


def check_people_url(url: str) -> str:
    """Return ``url`` if people can be sent there to log in.

    Raises:
        ValueError: it is none, or neither encrypted nor on this machine.
    """
    address = Address.of(url)
    if address.scheme != "https" and address.host not in LOOPBACK:
        raise ValueError("give an https address")
    return url


PeopleUrl = Annotated[str, AfterValidator(check_people_url)]
"""The address of a server that people log in at."""


class SignOnSettings(Section):
    """Login at the page by a proxy's header, and by OpenID Connect."""

    heading: ClassVar[str] = "Login of reviewers"

    review_group_roles: CommaSeparated[str] = Field([])
    """What groups may do, as `GROUP=ROLE`; comma-separated, the first one that fits holds. Who is
    in none does not get in. Empty: only accounts of `stt-engine user add --external` do, in the
    role that they have here."""

    review_proxy_user_header: EmptyIsNone[str] = None
    """The header in which a proxy in front names who it has let in, such as `X-Forwarded-User`. It
    has to take away what clients send under that name."""

    review_proxy_groups_header: EmptyIsNone[str] = None
    """The header in which it names their groups, separated by commas."""

    review_proxy_addresses: CommaSeparated[str] = Field([])
    """Addresses or networks from which that header is believed: those of the connection itself,
    never of `X-Forwarded-For`. From anywhere else a request with it is refused. Comma-separated."""

    review_oidc_issuer: EmptyIsNone[PeopleUrl] = None
    """The issuer of an OpenID Connect provider, such as `https://login.example.com/realms/main`.
    Its redirect address here is `/review/login/oidc/back`."""

    review_oidc_client_id: str = ""
    """What this server is called there."""

    review_oidc_client_secret: EmptyIsNone[SecretStr] = None
    """Its secret there; unset for a public client."""

    review_oidc_scopes: str = "openid profile"
    """What is asked for; more where the provider gives groups for it alone."""

    review_oidc_name_claim: str = Field("preferred_username", min_length=1)
    """The claim of the ID token that is the account's name."""

    review_oidc_groups_claim: str = Field("groups", min_length=1)
    """The claim of the ID token with the groups; dots lead into it (`realm_access.roles`)."""

    review_oidc_skew_sec: float = Field(60.0, ge=0, le=600)
    """Seconds that the clocks of provider and server may differ."""

    @field_validator("review_proxy_addresses")
    @classmethod
    def _are_networks(cls, value: list[str]) -> list[str]:
        for one in value:
            ip_network(one)
        return value

    @field_validator("review_proxy_user_header", "review_proxy_groups_header")
    @classmethod
    def _is_header(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9-]+", value):
            raise ValueError("give the name of a header")
        return value

    @field_validator("review_oidc_scopes")
    @classmethod
    def _has_openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("openid has to be one of them")
        return value

    @field_validator("review_group_roles")
    @classmethod
    def _are_roles(cls, value: list[str]) -> list[str]:
        for one in value:
            group, _, role = one.rpartition("=")
            if not group or role not in ROLES:
                raise ValueError(f"give GROUP=ROLE; roles are {', '.join(ROLES)}")
        return value

    @property
    def others_vouch(self) -> bool:
        """True where somebody else may say who is before the page."""
        return bool(self.review_proxy_user_header or self.review_oidc_issuer)

    def group_roles(self) -> list[tuple[str, str]]:
        """Return groups with their roles, in their order."""
        found = (one.rpartition("=") for one in self.review_group_roles)
        return [(group, role) for group, _, role in found]

    def sign_on_contradictions(self) -> list[str]:
        """Return a sentence for each pair of these settings that cannot both hold."""
        found = []
        if self.review_proxy_user_header and not self.review_proxy_addresses:
            found.append("REVIEW_PROXY_USER_HEADER is set without REVIEW_PROXY_ADDRESSES")
        if self.review_proxy_groups_header and not self.review_proxy_user_header:
            found.append("REVIEW_PROXY_GROUPS_HEADER is set without REVIEW_PROXY_USER_HEADER")
        if self.review_oidc_issuer and not self.review_oidc_client_id:
            found.append("REVIEW_OIDC_ISSUER is set without REVIEW_OIDC_CLIENT_ID")
        return found
