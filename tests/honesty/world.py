"""The real application between faked edges, and a client that asks it.

Real: the form, uploads and paths, admission, the chain, the orchestrator, the HTTP client to the
LLM with its deadline and its circuit, prompt, parsing, validator, evidence, findings, rendering,
metrics. The rubric has no model: judging it takes an oracle. Faked: what decodes and recognises (a
child process with a model), the LLM's server, and time: waiting for a deadline moves the event
loop's clock on instead. Not run: the lifespan, with the built-in clip that proves readiness.
"""

from __future__ import annotations

import asyncio
import re
import selectors
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import httpx2
import stamina

from api_server import container as wiring
from api_server.app import create_app
from api_server.clients.agent.backend import AgentBackend
from api_server.compliance.rubric import DEFAULT_RUBRIC
from api_server.container import Service
from api_server.settings import Settings
from stt_engine import engine
from tests.honesty.calls import PATIENCE_SEC, Call
from tests.honesty.edges import Edges, FakeRecogniser
from tests.honesty.judge import Judge, refusal_is_told
from tests.honesty.llm import INVENTED, FakeLlm
from tests.support.text_here import TextHere

THRESHOLD = 3
RECOVERY_SEC = 60.0
LONGEST_REST_SEC = 700.0
WAITING = 1


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be moved on."""

    def __init__(self) -> None:
        super().__init__(selectors.DefaultSelector())
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def _engine_with(first: FakeRecogniser | None) -> Callable[..., engine.WhisperSTT]:
    def made(*args: Any, **options: Any) -> engine.WhisperSTT:
        return engine.WhisperSTT(*args, **{**options, "first": first})

    return made


def _plain_rubric(folder: Path) -> Path:
    """Return the default rubric without its model: what a model finds no one knows beforehand."""
    for name in (f"{DEFAULT_RUBRIC}.toml", f"{DEFAULT_RUBRIC}.rules.toml"):
        text = (resources.files("api_server") / "rubrics" / name).read_text("utf-8")
        (folder / name).write_text(re.sub(r"^model = .*\n", "", text, flags=re.MULTILINE), "utf-8")
    return folder / f"{DEFAULT_RUBRIC}.toml"


class World:
    """One server, its edges, and the calls that were made."""

    def __init__(self, folder: Path, *, strict: bool, remote: bool, redaction: Any) -> None:
        self.loop = Loop()
        self.strict = strict
        self.redaction = redaction
        self.folder = folder
        self.calls: list[Call] = []
        self.busy = self.hung = 0
        self.failures: dict[str, int] = {}
        self.rested: set[str] = set()
        self.recognised = self.unrecognised = 0
        self.edges = Edges(lambda number: self.calls[number])
        self.llm = FakeLlm(self._call_of, self._other, self._time_out)
        self._stack = ExitStack()
        self._rubric = _plain_rubric(Path(self._stack.enter_context(TemporaryDirectory())))
        self._stack.enter_context(stamina.set_testing(True, attempts=3, cap=True))
        self.app = self._made(remote=remote)
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        base = "http://localhost"
        self.client = httpx2.AsyncClient(transport=transport, base_url=base, timeout=None)

    def _made(self, *, remote: bool) -> Any:
        agent = partial(
            AgentBackend, transport=httpx2.MockTransport(self.llm), clock=self.loop.time
        )
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            audio_roots=[self.folder],
            rubric_path=self._rubric,
            agent_allowed_hosts=["llm.test:*", "agent.test:*"],
            agent_timeout_sec=PATIENCE_SEC,
            circuit_failure_threshold=THRESHOLD,
            circuit_recovery_timeout_sec=RECOVERY_SEC,
            queue_max_waiting=WAITING,
            strict=self.strict,
            log_file=None,
            redaction=self.redaction,
            diarization="off",  # its child process is real, and so would have to be the sound
        )
        first = FakeRecogniser("remote", self.edges) if remote else None
        with (
            patch.object(engine, "AudioDecoder", self.edges.decoder),
            patch.object(engine, "IsolatedBackend", self.edges.recogniser),
            patch.object(wiring, "WhisperSTT", _engine_with(first)),
            patch.object(wiring, "AgentBackend", agent),
            patch.object(wiring, "TextInChild", TextHere),
        ):
            return create_app(settings)

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    def close(self) -> None:
        self.loop.run_until_complete(self.client.aclose())
        self.loop.run_until_complete(self.service.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._stack.close()

    # --- what the edges ask ---------------------------------------------------------------

    def _call_of(self, request: httpx2.Request) -> Call:
        number = request.url.params.get("call", "")
        return self.calls[int(number)] if number.isdecimal() else self.calls[-1]

    def _other(self, call: Call) -> str:
        """Return an utterance of the latest other call, for an LLM that mixes them up."""
        for one in reversed(self.calls):
            if one is not call and one.transcript and one.marker in one.transcript[0].text:
                return one.readable[0].text
        return INVENTED

    async def _time_out(self, call: Call) -> None:
        """Wait until nothing else is at work, and let the call's deadline pass."""
        self.hung += 1
        try:
            while self.busy > self.hung:  # noqa: ASYNC110 - the clock is ours, nobody waits
                await asyncio.sleep(0)
            self.loop.ahead += call.timeout + 1
            for _ in range(1000):
                await asyncio.sleep(0)
            raise AssertionError("the deadline passed, and the call went on")
        finally:
            self.hung -= 1

    def rest(self, seconds: float) -> None:
        """Let time pass in which nobody calls."""
        self.loop.ahead += seconds
        if seconds >= LONGEST_REST_SEC:
            self.rested.update(self.failures)

    # --- asking ---------------------------------------------------------------------------

    def send(self, *calls: Call) -> None:
        """Make calls, all at once, and judge every answer."""
        self.loop.run_until_complete(self._together(calls))

    async def _together(self, calls: Sequence[Call]) -> None:
        for call in calls:
            call.redaction = self.redaction
        answers = await asyncio.gather(*(self._ask(call) for call in calls))
        most = {call.host: self._most_failures(call.host, calls) for call in calls}
        for call, response in zip(calls, answers, strict=True):
            self._count(call)
            if response.status_code == 429:
                assert len(calls) > 2 + WAITING, "a queue that is not full refused a call"
                self._refused(call, response)
                continue
            rested = len(calls) == 1 and call.host in self.rested
            may_refuse = most[call.host] >= THRESHOLD and not rested
            Judge(call, response, may_refuse, strict=self.strict).pronounce()
        self.rested -= set(most)
        self.failures |= most

    async def crowd(self, calls: Sequence[Call]) -> None:
        """Make more calls than there is room for, and hold recognition until one is refused."""
        for call in calls:
            call.redaction = self.redaction
        self.edges.gate.clear()
        tasks = [asyncio.ensure_future(self._ask(call)) for call in calls]
        for done in asyncio.as_completed(tasks):
            response = await done
            if response.status_code == 429:
                self.edges.gate.set()
        self.edges.gate.set()
        for call, task in zip(calls, tasks, strict=True):
            self._count(call)
            response = task.result()
            if response.status_code == 429:
                self._refused(call, response)
            else:
                Judge(call, response, may_refuse=False, strict=self.strict).pronounce()
        refused = sum(task.result().status_code == 429 for task in tasks)
        assert refused, "a full queue refused nobody"

    def _refused(self, call: Call, response: httpx2.Response) -> None:
        refusal_is_told(response, 429)
        assert int(response.headers["retry-after"]) >= 1
        assert call.heard is None
        assert not call.asked

    async def _ask(self, call: Call) -> httpx2.Response:
        self.busy += 1
        try:
            if call.analyze:
                return await self.client.post("/analyze", json=self._document(call))
            return await self._transcribe(call)
        finally:
            self.busy -= 1

    async def _transcribe(self, call: Call) -> httpx2.Response:
        form: dict[str, str] = {"incomplete_elements_check": str(call.check).lower()}
        if call.check:
            form |= {name: str(value) for name, value in self._agent(call).items()}
        if call.strict is not None:
            form["strict"] = str(call.strict).lower()
        if call.upload:
            files = {"file": (f"{call.number}.wav", str(call.number).encode())}
            return await self.client.post("/transcribe", data=form, files=files)
        path = self.folder / f"{call.number}.wav"
        path.write_bytes(str(call.number).encode())
        return await self.client.post("/transcribe", data={**form, "file_path": str(path)})

    def _agent(self, call: Call) -> dict[str, object]:
        if call.unnamed:
            return {"timeout": call.timeout}
        tail = "ask" if call.text_only else "v1/chat/completions"
        return {
            "agent_url": f"http://{call.host}:9000/{tail}?call={call.number}",
            "agent_request_format": "text_only" if call.text_only else "prompt_based",
            "timeout": call.timeout,
            **({"chat_thread_id": call.marker} if call.text_only else {}),
        }

    def _document(self, call: Call) -> dict[str, object]:
        """Return the body for ``/analyze``; here the caller says what was said."""
        lines = call.heard.lines if call.heard else ()
        if call.analyze == "text":
            return {"text": "\n".join(line.text for line in lines), **self._agent(call)}
        turns = [
            {
                "text": line.text,
                "speaker": line.speaker,
                "start": line.start,
                "end": line.end,
                "channel": line.channel,
            }
            for line in lines
        ]
        return {"segments": turns, **self._agent(call)}

    # --- what the judge has to know -------------------------------------------------------

    def _count(self, call: Call) -> None:
        """Keep the books that the metrics have to agree with."""
        if call.analyze is None and self._was_answered(call):
            self.recognised += call.heard is not None
            self.unrecognised += call.heard is None

    def _most_failures(self, host: str, calls: Sequence[Call]) -> int:
        """Return the failures in a row that an agent may have had, whatever order calls end in."""
        said = [call.said for call in calls if call.host == host and call.said]
        lost = sum(one.counted for one in said)
        healed = not lost and any(one.error_type is None for one in said)
        return 0 if healed else self.failures.get(host, 0) + lost

    async def compare_books(self) -> None:
        """Compare what ``/health`` and ``/metrics`` count with what happened."""
        told = (await self.client.get("/health")).json()["metrics"]
        assert told["stt_total_count"] == self.recognised + self.unrecognised
        assert told["stt_failure_count"] == self.unrecognised, "a dummy is counted as a success"
        checks = [call for call in self.calls if call.check and self._was_answered(call)]
        lost = [call for call in checks if call.said is None or call.said.error_type]
        assert told["agent_total_count"] == len(checks)
        assert told["agent_failure_count"] == len(lost), "a dummy is counted as a success"
        text = (await self.client.get("/metrics")).text
        unforeseen = self.edges.unforeseen + self.llm.unforeseen
        assert f"stt_engine_unexpected_failures_total {float(unforeseen)}" in text

    def _was_answered(self, call: Call) -> bool:
        """Return whether a call got an answer: refused ones did not."""
        refused = any(one.refusal for one in call.failed)
        return not refused and bool(call.heard or call.failed)
