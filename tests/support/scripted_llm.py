"""The drill's scripted LLM server, in each of the states that the tests put it into.

That a real model's answers take the same path is shown by the tests with llama.cpp.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from stt_tools.drill.llm import INVENTED, QUOTED, honest, lying, reviews, utterances
from tests.support.fault_server import FaultServer, Script, answer, hang, refused_port

__all__ = ["INVENTED", "MODES", "QUOTED", "honest", "llm", "lying", "reviews", "utterances"]

MODES: Mapping[str, Script | None] = MappingProxyType(
    {
        "not asked": None,
        "ok": honest,
        "refused": None,
        "hung": hang,
        "non-JSON": answer(200, b"<html>a proxy's page</html>"),
        "lying": lying,
    }
)
"""The states of the LLM leg."""


@asynccontextmanager
async def llm(mode: str) -> AsyncIterator[dict[str, str]]:
    """Put an LLM into a state and yield the form fields that make the server call it."""
    form = {"incomplete_elements_check": "true", "timeout": "1" if mode == "hung" else "60"}
    script = MODES[mode]
    if script is not None:
        async with FaultServer(script) as server:
            yield form | {"agent_url": server.url}
    elif mode == "refused":
        yield form | {"agent_url": f"http://127.0.0.1:{refused_port()}/v1/chat/completions"}
    else:
        yield {}
