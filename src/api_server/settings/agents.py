"""The LLM server and the agents that callers may name, and the circuit breaker before them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from api_server.settings.addresses import Address, BaseUrl, HostEntry, is_listed
from api_server.settings.base import CommaSeparated, EmptyIsNone, Section
from api_server.settings.keys import check_secret


class LlmServerSettings(Section):
    """The LLM server and agents."""

    heading: ClassVar[str] = "LLM server and agents"

    vllm_api_url: BaseUrl = "http://localhost:8000/v1"
    """Base URL of the OpenAI-compatible LLM server. AGENT_API_KEY is sent to it, and to nothing
    else."""

    agent_model: EmptyIsNone[str] = None
    """Model name to ask for; unset: the first one of the server's `/v1/models`."""

    agent_api_key: EmptyIsNone[SecretStr] = None
    """Bearer token for the LLM server."""

    agent_allowed_hosts: CommaSeparated[HostEntry] = Field([])
    """Hosts that `agent_url` may name besides VLLM_API_URL, with any scheme and path: `host:port`,
    `host` (port 80 of http, 443 of https) or `host:*` (every port: for drills)."""

    agent_allowed_urls: CommaSeparated[BaseUrl] = Field([])
    """URLs that `agent_url` may name: of the same scheme, host and port, and at or below the
    path."""

    agent_timeout_sec: float = Field(30.0, gt=0)
    """Time for one LLM call, everything included, where the caller names none. A server that does
    not answer in it has failed; a caller's shorter time-out says nothing about the server."""

    agent_max_timeout_sec: float = Field(300.0, gt=0)
    """Longest `timeout` that a caller may ask for."""

    agent_max_tokens: int = Field(1536, ge=64)
    """Longest answer of the LLM in tokens; the default rubric's takes 500 to 1,000. With less
    than that the LLM is asked about fewer elements, first those that the rules leave open."""

    agent_chunk_chars: int = Field(6000, ge=500)
    """Characters of a transcript that one request to the LLM holds (some 15 minutes); a longer
    transcript is reviewed in chunks that overlap. Smaller for a small context."""

    agent_chunks_at_once: int = Field(4, ge=1)
    """Chunks of one transcript that are reviewed at the same time."""

    agent_connect_timeout_sec: float = Field(3.0, gt=0)
    """Time for one connection attempt to an LLM server, or to STT_REMOTE_URL."""

    agent_proof_sec: float = Field(60.0, ge=0, allow_inf_nan=False)
    """How long an answer of the LLM server shows that it works; after that, and while it fails, a
    probe asks it for one token this often. 0: never. Where VLLM_API_URL is not set, there is no
    probe before the first check of a call."""

    agent_proof_timeout_sec: float = Field(20.0, gt=0, allow_inf_nan=False)
    """Time for that probe."""

    @property
    def agent_url(self) -> str:
        """The chat-completions URL of the default LLM server."""
        return f"{self.vllm_api_url.rstrip('/')}/chat/completions"

    @field_validator("vllm_api_url")
    @classmethod
    def _is_base(cls, value: str) -> str:
        if value.rstrip("/").endswith("/chat/completions"):
            raise ValueError("leave out /chat/completions: it is added")
        return value

    @field_validator("agent_api_key")
    @classmethod
    def _is_sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            check_secret(value.get_secret_value())
        return value

    def allows_agent(self, url: str) -> bool:
        """Return whether callers may name ``url``, which has no user and no fragment."""
        address = _address(url)
        if address is None:
            return False
        prefixes = (self.vllm_api_url, *self.agent_allowed_urls)
        return any(Address.of(one).covers(address) for one in prefixes) or any(
            is_listed(address, one) for one in self.agent_allowed_hosts
        )

    def is_llm_server(self, url: str) -> bool:
        """Return whether ``url`` is VLLM_API_URL or below it, and so may have AGENT_API_KEY."""
        address = _address(url)
        return address is not None and Address.of(self.vllm_api_url).covers(address)


def _address(url: str) -> Address | None:
    try:
        return Address.of(url)
    except ValueError:
        return None


class CircuitSettings(Section):
    """When calls to a server that fails are suspended."""

    heading: ClassVar[str] = "Circuit breaker"

    circuit_failure_threshold: int = Field(5, ge=1)
    """Consecutive failures of an LLM server that open its circuit: of its URL and model."""

    circuit_recovery_timeout_sec: float = Field(60.0, gt=0)
    """Wait before an open circuit lets a probe through."""
