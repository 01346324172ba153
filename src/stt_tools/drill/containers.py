"""Injects faults into the running local containers, and restores them.

``stt-engine drill --docker`` (or ``make docker-drill``) needs the three containers of
``docker-compose.local.yml`` up and healthy. It uses only ``docker`` and the servers' own APIs, and
restores what it breaks (also on Ctrl-C).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from stt_tools.drill import scorecard
from stt_tools.drill.client import DrillError, Target
from stt_tools.drill.expectations import (
    COMPLETE,
    DUMMY,
    HONEST,
    PARTIAL,
    RECOGNISED,
    Answer,
    Expectation,
)
from stt_tools.drill.invariants import GroundTruth
from stt_tools.drill.processes import wait_until
from stt_tools.drill.scorecard import Result

API, STT, LLM = "api-server-local", "stt-model", "vllm-local"
PORTS = {API: 8003, STT: 8001, LLM: 8000}
RECOGNITION = "stt_engine.workers.child faster-whisper"
"""The command line of the process that holds the model."""

STT_SEC = 60.0
"""Bound on recognising the short sample (STT_MIN_TRANSCRIBE_SEC)."""
REFUSED_SEC = 15.0
"""Bound on noticing that there is no LLM server."""
HUNG_SEC = 10.0
"""Time-out of a call whose LLM hangs."""
_OK = 200
RESTART_SEC = 180.0
"""Bound on a container's restart, model loading included."""

_AWAY = "/app/models/.drill"
_HIDE = f"mkdir {_AWAY} && mv /app/models/[!.]* {_AWAY}/"
_UNHIDE = f"[ ! -d {_AWAY} ] || {{ mv {_AWAY}/* /app/models/ && rmdir {_AWAY}; }}"

_SIGNAL = """
import os, pathlib, sys
number, words = int(sys.argv[1]), sys.argv[2]
for entry in pathlib.Path("/proc").glob("[1-9]*"):
    try:
        line = (entry / "cmdline").read_bytes().replace(b"\\0", b" ").decode(errors="replace")
    except OSError:
        continue
    if words in line and int(entry.name) not in {1, os.getpid()}:
        os.kill(int(entry.name), number)
        sys.exit(0)
sys.exit(f"no process with {words!r}")
"""


@dataclass(frozen=True)
class Options:
    """The recording and time-out of the calls."""

    audio: str
    language: str
    timeout_sec: float

    def call(self, *, check: bool, timeout_sec: float | None = None) -> Answer:
        """Send the sample to the api-server."""
        form = {"file_path": self.audio, "language": self.language}
        if check:
            form |= {
                "incomplete_elements_check": "true",
                "agent_url": "http://vllm:8000/v1/chat/completions",
                "agent_request_format": "prompt_based",
                "timeout": str(timeout_sec or self.timeout_sec),
            }
        return target(API).transcribe(form)

    def recognise(self) -> Answer:
        """Send the sample to stt-model."""
        return target(STT).transcribe({"file_path": self.audio, "language": self.language})


def target(container: str) -> Target:
    """Return a container's published port."""
    return Target(f"http://127.0.0.1:{PORTS[container]}")


def docker(*arguments: str) -> str:
    """Run ``docker`` and return its output."""
    ran = subprocess.run(  # noqa: S603 - fixed words and container names
        ["docker", *arguments],  # noqa: S607 - whichever docker the caller uses
        check=False,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise DrillError(f"docker {' '.join(arguments[:3])}: {ran.stderr.strip()}")
    return ran.stdout.strip()


def send_signal(container: str, number: int, words: str) -> None:
    """Send a signal to the process of ``container`` whose command line holds ``words``."""
    docker("exec", container, "python", "-c", _SIGNAL, str(number), words)


def restarts(container: str) -> int:
    """Return how often Docker has restarted a container by itself."""
    return int(docker("inspect", "-f", "{{.RestartCount}}", container))


def is_ready(container: str) -> bool:
    """Return whether a server reports that it is ready."""
    path = "/v1/models" if container == LLM else "/health/ready"
    return target(container).get(path).status == _OK


class ContainerDrill:
    """Injects the faults in order and collects the results."""

    def __init__(self, options: Options, show: Callable[[Result], None]) -> None:
        self.options = options
        self.results: list[Result] = []
        self._show = show

    def verify(
        self, fault: str, expectation: Expectation, bound_sec: float, answer: Answer
    ) -> None:
        """Check an answer against its expectation and the invariants (its words are not known)."""
        truth = GroundTruth(checked=bool(answer.body.get("agent_type")))
        self.add(scorecard.evaluate(fault, expectation, bound_sec, answer, truth))

    def add(self, result: Result) -> None:
        """Record and show a result."""
        self.results.append(result)
        self._show(result)

    def run(self) -> None:
        """Inject every fault."""
        options = self.options
        whole = STT_SEC + options.timeout_sec
        self.verify("nothing is broken", COMPLETE, whole, options.call(check=True))
        self._models(whole)
        self._llm(whole)
        self._processes(whole)

    def _models(self, whole: float) -> None:
        options = self.options
        with injected(lambda: docker("exec", STT, "bash", "-c", _HIDE), _unhide):
            self.verify("models removed: stt-model", DUMMY, STT_SEC, options.recognise())
            answer = options.call(check=False)
            self.verify("models removed: api-server", DUMMY, STT_SEC, answer)
            with injected(lambda: docker("stop", LLM), lambda: None):
                answer = options.call(check=True)
                bound = STT_SEC + REFUSED_SEC
                self.verify("models removed, LLM stopped", DUMMY, bound, answer)
        self.verify("models back, nothing restarted", RECOGNISED, whole, options.call(check=False))

    def _llm(self, whole: float) -> None:
        options = self.options
        with injected(lambda: None, _start_llm):  # stopped above; its model is restored by now
            bound = STT_SEC + REFUSED_SEC
            self.verify("LLM stopped", PARTIAL, bound, options.call(check=True))
        self.verify("LLM started again", COMPLETE, whole, options.call(check=True))
        with injected(lambda: docker("pause", LLM), lambda: docker("unpause", LLM)):
            answer = options.call(check=True, timeout_sec=HUNG_SEC)
            self.verify("LLM hangs", PARTIAL, STT_SEC + HUNG_SEC, answer)
        with injected(lambda: None, _start_llm):
            answer = self._in_mid_call(_asking_llm, lambda: docker("kill", LLM), check=True)
            self.verify("LLM killed in mid answer", PARTIAL, whole, answer)

    def _processes(self, whole: float) -> None:
        for name, number in (("killed", 9), ("stopped", 19)):
            answer = self._in_mid_call(
                _recognising,
                lambda number=number: send_signal(API, number, RECOGNITION),  # type: ignore[misc]
                check=False,
            )
            self.verify(f"recognition {name} in mid call", HONEST, STT_SEC, answer)
            answer = self.options.call(check=False)
            self.verify(f"the call after that ({name})", RECOGNISED, STT_SEC, answer)
        before = restarts(API)
        send_signal(API, 9, "stt-engine serve")
        took = wait_until(
            "api-server is back", lambda: restarts(API) > before and is_ready(API), RESTART_SEC
        )
        self.add(
            scorecard.within_bound("api-server killed (-9)", "started again", took, RESTART_SEC)
        )
        answer = self.options.call(check=True)
        self.verify("the call after the restart", COMPLETE, whole, answer)

    def _in_mid_call(
        self, reached: Callable[[float], bool], fault: Callable[[], object], *, check: bool
    ) -> Answer:
        """Make a call, and inject the fault once ``reached`` is true."""
        with ThreadPoolExecutor(1) as pool:
            began = time.time()
            call = pool.submit(self.options.call, check=check)
            wait_until("the call is under way", lambda: reached(began), STT_SEC)
            fault()
            return call.result()


@contextmanager
def injected(inject: Callable[[], object], restore_it: Callable[[], object]) -> Iterator[None]:
    """Inject a fault for a block, and restore afterwards."""
    try:
        inject()
        yield
    finally:
        restore_it()


def _unhide() -> None:
    docker("exec", STT, "bash", "-c", _UNHIDE)


def _start_llm() -> None:
    docker("start", LLM)
    wait_until("the LLM server is up", lambda: is_ready(LLM), RESTART_SEC)


def _recognising(_began: float) -> bool:
    components = target(API).get("/health").body.get("components", [])
    return any(one["name"] == "faster-whisper" and one["state"] == "busy" for one in components)


def _asking_llm(began: float) -> bool:
    return "[AgentBackend] 호출 시작" in docker("logs", "--since", f"{began:.3f}", API)


def restore() -> None:
    """Restore what an interrupted drill may have left broken."""
    _unhide()
    if docker("inspect", "-f", "{{.State.Paused}}", LLM) == "true":
        docker("unpause", LLM)
    docker("start", LLM)


def run(options: Options, show: Callable[[Result], None]) -> list[Result]:
    """Inject every fault into the containers and return the results.

    Raises:
        DrillError: a container does not exist.
    """
    for container in PORTS:
        try:
            docker("inspect", container)
        except DrillError as exc:
            raise DrillError(f"{exc}: start the containers first (make docker-up)") from exc
    drill = ContainerDrill(options, show)
    try:
        for container in PORTS:
            _await_ready(container)
        drill.run()
    except (DrillError, OSError) as exc:
        drill.add(scorecard.failed("the drill", "runs to its end", str(exc)))
    finally:
        restore()
    return drill.results


def _await_ready(container: str) -> None:
    wait_until(f"{container} is ready", lambda: is_ready(container), RESTART_SEC)
