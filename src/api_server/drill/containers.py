"""Breaks the running local containers one after the other, and holds each answer to its promise.

``stt-engine drill --docker`` (or ``make docker-drill``) needs the three containers of
``docker-compose.local.yml`` up and healthy. It uses nothing but ``docker`` and the servers' own
APIs, and restores what it breaks (also on Ctrl-C).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from api_server.drill import scorecard
from api_server.drill.asking import DrillError, Target
from api_server.drill.honesty import Truth
from api_server.drill.processes import awaited
from api_server.drill.promises import COMPLETE, DUMMY, HONEST, PARTIAL, RECOGNISED, Answer, Promise
from api_server.drill.scorecard import Result

API, STT, LLM = "api-server-local", "stt-model", "vllm-local"
PORTS = {API: 8003, STT: 8001, LLM: 8000}
RECOGNITION = "stt_engine.child faster-whisper"
"""The command line of the process that holds the model."""

STT_SEC = 60.0
"""Bound on recognising the short sample (STT_MIN_TRANSCRIBE_SEC)."""
REFUSED_SEC = 15.0
"""Bound on finding that an LLM server is not there."""
HUNG_SEC = 10.0
"""What a drill gives an LLM that hangs."""
_OK = 200
RESTART_SEC = 180.0
"""Bound on a container's restart, with its model."""

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
    """What is asked of the servers."""

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
    """Give a container's published port."""
    return Target(f"http://127.0.0.1:{PORTS[container]}")


def docker(*arguments: str) -> str:
    """Run ``docker`` and give what it prints."""
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
    """Count how often Docker has started a container again by itself."""
    return int(docker("inspect", "-f", "{{.RestartCount}}", container))


def is_ready(container: str) -> bool:
    """Tell whether a server says that it can do its work."""
    path = "/v1/models" if container == LLM else "/health/ready"
    return target(container).get(path).status == _OK


class Drill:
    """Runs faults and collects results."""

    def __init__(self, options: Options, show: Callable[[Result], None]) -> None:
        self.options = options
        self.results: list[Result] = []
        self._show = show

    def judge(self, fault: str, promise: Promise, bound_sec: float, answer: Answer) -> None:
        """Hold one answer to one promise, and to honesty: the sample's words are not known."""
        truth = Truth(checked=bool(answer.body.get("agent_type")))
        self.add(scorecard.judged(fault, promise, bound_sec, answer, truth))

    def add(self, result: Result) -> None:
        """Keep and show a result."""
        self.results.append(result)
        self._show(result)

    def run(self) -> None:
        """Go through every fault."""
        options = self.options
        whole = STT_SEC + options.timeout_sec
        self.judge("nothing is broken", COMPLETE, whole, options.call(check=True))
        self._models(whole)
        self._llm(whole)
        self._processes(whole)

    def _models(self, whole: float) -> None:
        options = self.options
        with broken(lambda: docker("exec", STT, "bash", "-c", _HIDE), _unhide):
            self.judge("models removed: stt-model", DUMMY, STT_SEC, options.recognise())
            answer = options.call(check=False)
            self.judge("models removed: api-server", DUMMY, STT_SEC, answer)
            with broken(lambda: docker("stop", LLM), lambda: None):
                answer = options.call(check=True)
                bound = STT_SEC + REFUSED_SEC
                self.judge("models removed, LLM stopped", DUMMY, bound, answer)
        self.judge("models back, nothing restarted", RECOGNISED, whole, options.call(check=False))

    def _llm(self, whole: float) -> None:
        options = self.options
        with broken(lambda: None, _start_llm):  # stopped above, and its model is back only now
            bound = STT_SEC + REFUSED_SEC
            self.judge("LLM stopped", PARTIAL, bound, options.call(check=True))
        self.judge("LLM started again", COMPLETE, whole, options.call(check=True))
        with broken(lambda: docker("pause", LLM), lambda: docker("unpause", LLM)):
            answer = options.call(check=True, timeout_sec=HUNG_SEC)
            self.judge("LLM hangs", PARTIAL, STT_SEC + HUNG_SEC, answer)
        with broken(lambda: None, _start_llm):
            answer = self._in_mid_call(_asking_llm, lambda: docker("kill", LLM), check=True)
            self.judge("LLM killed in mid answer", PARTIAL, whole, answer)

    def _processes(self, whole: float) -> None:
        for name, number in (("killed", 9), ("stopped", 19)):
            answer = self._in_mid_call(
                _recognising,
                lambda number=number: send_signal(API, number, RECOGNITION),  # type: ignore[misc]
                check=False,
            )
            self.judge(f"recognition {name} in mid call", HONEST, STT_SEC, answer)
            answer = self.options.call(check=False)
            self.judge(f"the call after that ({name})", RECOGNISED, STT_SEC, answer)
        before = restarts(API)
        send_signal(API, 9, "stt-engine serve")
        took = awaited(
            "api-server is back", lambda: restarts(API) > before and is_ready(API), RESTART_SEC
        )
        self.add(scorecard.kept("api-server killed (-9)", "started again", took, RESTART_SEC))
        answer = self.options.call(check=True)
        self.judge("the call after the restart", COMPLETE, whole, answer)

    def _in_mid_call(
        self, reached: Callable[[float], bool], fault: Callable[[], object], *, check: bool
    ) -> Answer:
        """Make a call, and the fault once it has come as far as ``reached``."""
        with ThreadPoolExecutor(1) as pool:
            began = time.time()
            call = pool.submit(self.options.call, check=check)
            awaited("the call is under way", lambda: reached(began), STT_SEC)
            fault()
            return call.result()


@contextmanager
def broken(break_it: Callable[[], object], mend: Callable[[], object]) -> Iterator[None]:
    """Keep something broken for a block."""
    try:
        break_it()
        yield
    finally:
        mend()


def _unhide() -> None:
    docker("exec", STT, "bash", "-c", _UNHIDE)


def _start_llm() -> None:
    docker("start", LLM)
    awaited("the LLM server is up", lambda: is_ready(LLM), RESTART_SEC)


def _recognising(_began: float) -> bool:
    components = target(API).get("/health").body.get("components", [])
    return any(one["name"] == "faster-whisper" and one["state"] == "busy" for one in components)


def _asking_llm(began: float) -> bool:
    return "[AgentBackend] 호출 시작" in docker("logs", "--since", f"{began:.3f}", API)


def restore() -> None:
    """Put back what an interrupted drill may have left broken."""
    _unhide()
    if docker("inspect", "-f", "{{.State.Paused}}", LLM) == "true":
        docker("unpause", LLM)
    docker("start", LLM)


def run(options: Options, show: Callable[[Result], None]) -> list[Result]:
    """Run every fault on the containers; give what came of them.

    Raises:
        DrillError: the containers are not there.
    """
    for container in PORTS:
        try:
            docker("inspect", container)
        except DrillError as exc:
            raise DrillError(f"{exc}: start the containers first (make docker-up)") from exc
    drill = Drill(options, show)
    try:
        for container in PORTS:
            _await_ready(container)
        drill.run()
    except (DrillError, OSError) as exc:
        drill.add(scorecard.broken("the drill", "runs to its end", str(exc)))
    finally:
        restore()
    return drill.results


def _await_ready(container: str) -> None:
    awaited(f"{container} is ready", lambda: is_ready(container), RESTART_SEC)
