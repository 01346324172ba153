"""The agent that a request names, checked against the settings."""

from __future__ import annotations

from api_server.clients.agent.types import RequestFormat
from api_server.http.problems import Problem
from api_server.pipeline.analysis import AgentConfig
from api_server.settings import Settings


def build_agent_config(
    settings: Settings,
    url: str | None,
    request_format: RequestFormat,
    timeout_sec: float | None,
    chat_thread_id: str | None,
) -> AgentConfig:
    """Return the configuration of the agent to call.

    Raises:
        Problem: the host is not allowed, or the timeout is above the limit.
    """
    url = url or settings.agent_url
    if not settings.allows_agent(url):
        raise Problem(
            403,
            "agent-not-allowed",
            "agent_url names a server or a path that this server may not call; "
            "the operator can add it to AGENT_ALLOWED_URLS or AGENT_ALLOWED_HOSTS.",
        )
    timeout_sec = settings.agent_timeout_sec if timeout_sec is None else timeout_sec
    check_timeout(settings, timeout_sec)
    return AgentConfig(url, request_format, timeout_sec, chat_thread_id)


def check_timeout(settings: Settings, timeout_sec: float) -> None:
    """Return where an agent may take so many seconds.

    Raises:
        Problem: the timeout is above the limit.
    """
    if timeout_sec > settings.agent_max_timeout_sec:
        raise Problem(
            400,
            "bad-field",
            f"timeout: at most {settings.agent_max_timeout_sec:g} seconds (AGENT_MAX_TIMEOUT_SEC).",
        )
