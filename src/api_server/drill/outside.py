"""A server that is not the drill's own: how it can reach the drill, and whether it may."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from api_server.drill import recordings
from api_server.drill.asking import Target
from api_server.drill.fault_server import FaultServer, served
from api_server.drill.llm import honest

_FORBIDDEN = 403


def agent_host(target: Target) -> str:
    """Give the address of this machine as the server sees it."""
    parts = urlsplit(target.base)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname or "127.0.0.1", parts.port or 80))
        found: str = probe.getsockname()[0]
        return found


def why_no_agent(target: Target, host: str) -> str | None:
    """Ask the server to ask a well agent of the drill's; give why it did not, if so."""
    with served(FaultServer(honest, host=host)) as agent, tempfile.TemporaryDirectory() as folder:
        clip = recordings.spoken(Path(folder) / "clip.wav")
        form = {
            "language": recordings.language(),
            "incomplete_elements_check": "true",
            "agent_url": agent.url,
            "timeout": "10",
        }
        found = target.transcribe(form, clip)
        if found.status == _FORBIDDEN:
            return f"the server may not ask {host}: add it to its AGENT_ALLOWED_HOSTS"
        if not agent.requests:
            return f"the server cannot reach {host}"
    return None
