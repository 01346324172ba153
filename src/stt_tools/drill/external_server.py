"""A server that the drill did not start: whether and at which address it can reach the drill."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from stt_tools.drill import recordings
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.fault_server import FaultServer, serve_in_thread
from stt_tools.drill.llm import honest

_FORBIDDEN = 403
_REFUSED = frozenset({401, 403})
_WORDS = 80


def check_server(target: Target) -> None:
    """Make sure that there is a server of ours, and that it lets the drill in.

    Raises:
        DrillError: it says what is there instead.
    """
    parts = urlsplit(target.base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DrillError(f"--url {target.base} is no address of a server; give http://HOST:8003")
    health = target.get("/health")
    if not health.status:
        raise DrillError(f"no server answers at {target.base}: {health.body['error']}")
    if "components" not in health.body:
        said = f"/health gives {health.status} {str(health.body)[:_WORDS]}"
        raise DrillError(f"{target.base} is no stt-engine server: {said}")
    refusal = target.transcribe({})
    if refusal.status in _REFUSED:
        why = refusal.body.get("detail", refusal.status)
        raise DrillError(f"{target.base} does not let the drill in: {why} (--api-key)")


def agent_host(target: Target) -> str:
    """Return the address of this machine as the server sees it."""
    parts = urlsplit(target.base)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or "127.0.0.1", parts.port or 80))
        found: str = probe.getsockname()[0]
        return found


def why_no_agent(target: Target, host: str) -> str | None:
    """Return why the server cannot call a healthy LLM server of the drill's, or None."""
    with (
        serve_in_thread(FaultServer(honest, host=host)) as agent,
        tempfile.TemporaryDirectory() as folder,
    ):
        clip = recordings.spoken(Path(folder) / "clip.wav")
        form = {
            "language": recordings.language(),
            "incomplete_elements_check": "true",
            "agent_url": agent.url,
            "timeout": "10",
        }
        found = target.transcribe(form, clip)
        if found.status == _FORBIDDEN:
            return f"the server may not ask {host}: add {host}:* to its AGENT_ALLOWED_HOSTS"
        if not agent.requests:
            return f"the server cannot reach {host}"
    return None
