"""``AgentBackend`` where the original request has it (:mod:`api_server.clients.agent`)."""

from api_server.clients.agent.backend import AgentBackend, AgentBackendResponse

__all__ = ["AgentBackend", "AgentBackendResponse"]
