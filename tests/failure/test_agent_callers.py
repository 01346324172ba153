"""One caller's trouble is one caller's: what a circuit counts, and who can keep it open."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from api_server.clients.agent.backend import AgentBackend, AgentRequest
from api_server.clients.agent.errors import InvalidAnswer
from api_server.clients.circuit_breaker import CircuitPolicy, CircuitState
from api_server.clients.errors import is_target_failure
from stt_engine.errors import OutOfMemory, ServerStopping
from tests.support import fault_server as fault
from tests.support.clock import Clock
from tests.support.fault_server import Exchange, FaultServer, answer, completion

ONE = CircuitPolicy(failure_threshold=1, recovery_timeout=60, probe_sec=30)
OURS = "http://llm.test/v1/chat/completions"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
async def backend(clock: Clock) -> AsyncIterator[AgentBackend]:
    made = AgentBackend(circuit_policy=ONE, patience_sec=0.5, clock=clock)
    yield made
    await made.aclose()


def _refuses(_text: str) -> object:
    raise InvalidAnswer("약속한 형식이 아님")


def _states(backend: AgentBackend) -> dict[str, CircuitState]:
    return {one.target: one.state for one in backend.circuits.snapshots()}


async def test_a_short_time_out_is_the_callers(backend: AgentBackend) -> None:
    async with FaultServer(fault.hang) as server:
        for _ in range(3):
            response = await backend.call("안녕", server.url, timeout=0.05)
            assert response["error_type"] == "TimeoutError"
        assert _states(backend) == {server.url: CircuitState.CLOSED}
        await backend.call("안녕", server.url, timeout=0.5)
        assert _states(backend) == {server.url: CircuitState.OPEN}


@pytest.mark.parametrize("script", [answer(500), fault.reset_at_once, answer(200, b"<html>")])
async def test_a_wrong_path_is_the_callers(script: fault.Script, backend: AgentBackend) -> None:
    async def by_path(exchange: Exchange) -> None:
        right = exchange.path.partition("?")[0] == "/v1/chat/completions"
        await (answer(200, completion()) if right else script)(exchange)

    async with FaultServer(by_path) as server:
        wrong = f"{server.base}/v2/chat/completions"
        assert not (await backend.call("안녕", wrong))["success"]
        assert (await backend.call("안녕", wrong))["error_type"] == "CircuitOpen"
        assert (await backend.call("안녕", server.url))["success"]
        assert (await backend.call("안녕", f"{server.base}/v1?key=x"))["success"]
        assert len(backend.circuits.snapshots()) == 2  # a query is no other target


@pytest.mark.parametrize(
    "body",
    [
        completion("반", "length"),
        completion("", "content_filter"),
        completion(None, "tool_calls"),
        completion("위반 없음"),
    ],
    ids=["cut", "filtered", "tool", "another form"],
)
async def test_what_a_model_makes_of_ones_words_is_ones_own(
    body: dict[str, object], backend: AgentBackend
) -> None:
    async with FaultServer(answer(200, body)) as server:
        asked = AgentRequest("위반 없음이라고만 답하십시오", server.url, parse=_refuses)
        assert (await backend.ask(asked)).is_dummy
        assert _states(backend) == {server.url: CircuitState.CLOSED}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
        ExceptionGroup("all attempts failed", [OSError(errno.ENOBUFS, "No buffer space")]),
        MemoryError(),
    ],
    ids=lambda one: type(one).__name__ + str(getattr(one, "errno", "")),
)
async def test_our_own_shortage_is_ours(error: Exception, clock: Clock) -> None:
    def send(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(error, MemoryError):
            raise error
        raise httpx2.ConnectError("no connection") from error

    backend = AgentBackend(
        circuit_policy=ONE, model="m", transport=httpx2.MockTransport(send), clock=clock
    )
    assert not (await backend.call("안녕", OURS, timeout=0.3))["success"]
    assert set(_states(backend).values()) == {CircuitState.CLOSED}
    await backend.aclose()


def test_errors_of_this_server_are_not_the_targets() -> None:
    assert not is_target_failure(ServerStopping("stops"))
    assert not is_target_failure(OutOfMemory("full"))
    assert is_target_failure(OSError(errno.ECONNREFUSED, "refused"))
    assert is_target_failure(RuntimeError("whatever"))


async def test_a_server_that_stops_says_nothing_of_the_target(backend: AgentBackend) -> None:
    async with FaultServer(fault.hang) as server:
        call = asyncio.create_task(backend.call("안녕", server.url))
        await server.wait_for_requests()
        backend.stop()
        assert (await call)["error_type"] == "ServerStopping"
        assert _states(backend) == {server.url: CircuitState.CLOSED}


async def _opened(backend: AgentBackend, server: FaultServer, clock: Clock) -> None:
    """Have a failing target's circuit wait for its probe."""
    server.script = answer(500)
    assert not (await backend.call("안녕", server.url))["success"]
    assert (await backend.call("안녕", server.url))["error_type"] == "CircuitOpen"
    clock.now += 60


async def test_a_hurried_probe_takes_nobodys_place(backend: AgentBackend, clock: Clock) -> None:
    """While one caller's short call runs, a call that can tell is let through, and closes it."""
    async with FaultServer(fault.hang) as server:
        await _opened(backend, server, clock)
        asked = len(server.posts)
        server.script = fault.hang
        hurried = asyncio.create_task(backend.call("안녕", server.url, timeout=0.4))
        await server.wait_for_requests(asked + 1)
        refused = await backend.call("안녕", server.url, timeout=0.4)
        assert refused["error_type"] == "CircuitOpen"  # one of each kind at a time
        server.script = answer(200, completion())
        assert (await backend.call("안녕", server.url, timeout=5))["success"]
        assert _states(backend) == {server.url: CircuitState.CLOSED}
        assert (await hurried)["error_type"] == "TimeoutError"  # late, and changes nothing
        assert _states(backend) == {server.url: CircuitState.CLOSED}


async def test_hurried_probes_do_not_open_it_for_longer(
    backend: AgentBackend, clock: Clock
) -> None:
    async with FaultServer(fault.hang) as server:
        await _opened(backend, server, clock)
        server.script = fault.hang
        for _ in range(3):
            assert (await backend.call("안녕", server.url, timeout=0.05))[
                "error_type"
            ] == "TimeoutError"
        server.script = answer(200, completion())
        assert (await backend.call("안녕", server.url, timeout=0.4))["success"]


async def test_a_probe_that_never_ends_is_a_failed_one(backend: AgentBackend, clock: Clock) -> None:
    """A caller with a long time-out holds the probe of a hung target; others wait no longer."""
    async with FaultServer(fault.hang) as server:
        await _opened(backend, server, clock)
        asked = len(server.posts)
        server.script = fault.hang
        patient = asyncio.create_task(backend.call("안녕", server.url, timeout=600))
        await server.wait_for_requests(asked + 1)
        server.script = answer(200, completion())
        assert (await backend.call("안녕", server.url))["error_type"] == "CircuitOpen"
        clock.now += 30
        assert (await backend.call("안녕", server.url))["error_type"] == "CircuitOpen"
        assert _states(backend) == {server.url: CircuitState.OPEN}
        clock.now += 120
        assert (await backend.call("안녕", server.url))["success"]
        patient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await patient


async def test_wrong_paths_do_not_push_an_open_circuit_out(clock: Clock) -> None:
    def send(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(500 if request.url.path == "/v1/chat/completions" else 404)

    backend = AgentBackend(
        circuit_policy=ONE, model="m", transport=httpx2.MockTransport(send), clock=clock
    )
    assert (await backend.call("안녕", OURS))["error_type"] == "AgentServerError"
    for number in range(300):
        await backend.call("안녕", f"http://llm.test/{number}/chat/completions")
    assert (await backend.call("안녕", OURS))["error_type"] == "CircuitOpen"
    await backend.aclose()


def _like_a_check(post: dict[str, Any]) -> bool:
    roles = [one["role"] for one in post["messages"]]
    return "system" in roles and post.get("response_format", {}).get("type") == "json_schema"


@pytest.mark.parametrize(
    "lacks", [lambda post: "response_format" in post, lambda post: len(post["messages"]) > 1]
)
async def test_a_probe_has_every_part_of_a_check(
    lacks: Callable[[dict[str, Any]], bool], backend: AgentBackend
) -> None:
    """A server that takes no schema, or no system message, is not well."""

    async def choosy(exchange: Exchange) -> None:
        refuses = lacks(exchange.json)
        await (answer(400) if refuses else answer(200, completion("a", "length")))(exchange)

    async with FaultServer(choosy) as server:
        found = await backend.probe(server.url, 5)
        assert (found.ready, found.error_type) == (False, "AgentRefused")
        assert _like_a_check(server.posts[0].json)
