"""Breaks the running local containers one after the other, and holds each answer to its promise.

``python docker/drill.py`` (or ``make docker-drill``) needs the three containers of
``docker-compose.local.yml`` up and healthy. It uses nothing but ``docker`` and the servers' own
APIs, restores what it breaks (also on Ctrl-C), and exits with 1 if one promise was not kept.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from promises import COMPLETE, DUMMY, HONEST, PARTIAL, RECOGNISED, Answer, Promise, told

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


class DrillError(Exception):
    """The drill itself could not go on."""


@dataclass(frozen=True)
class Result:
    """One fault and what came of it."""

    fault: str
    promised: str
    got: str
    verdict: str
    bound_sec: float
    took_sec: float


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
        return ask(API, "POST", "/transcribe", form, STT_SEC + self.timeout_sec + 30)

    def recognise(self) -> Answer:
        """Send the sample to stt-model."""
        form = {"file_path": self.audio, "language": self.language}
        return ask(STT, "POST", "/transcribe", form, STT_SEC + 30)


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


def ask(
    container: str,
    method: str,
    path: str,
    form: dict[str, str] | None = None,
    timeout_sec: float = 10.0,
) -> Answer:
    """Ask a container's published port; raises ``OSError`` where nobody answers."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", PORTS[container], timeout=timeout_sec)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request(method, path, urlencode(form or {}), headers)
        response = connection.getresponse()
        raw = response.read()
    except http.client.HTTPException as exc:
        raise OSError(f"{type(exc).__name__}: {exc}") from exc
    finally:
        connection.close()
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        body = {"not JSON": raw[:200].decode(errors="replace")}
    degraded = response.getheader("X-STT-Degraded")
    return Answer(response.status, body, degraded, time.monotonic() - began)


def awaited(what: str, fact: Callable[[], bool], bound_sec: float) -> float:
    """Wait until ``fact`` is true; give the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < bound_sec:
        try:
            if fact():
                return time.monotonic() - began
        except OSError:
            pass  # nobody answers yet: that is what is awaited
        time.sleep(0.2)
    raise DrillError(f"waited {bound_sec:g} s in vain: {what}")


def restarts(container: str) -> int:
    """Count how often Docker has started a container again by itself."""
    return int(docker("inspect", "-f", "{{.RestartCount}}", container))


def is_ready(container: str) -> bool:
    """Tell whether a server says that it can do its work."""
    if container == LLM:
        return ask(LLM, "GET", "/v1/models").status == http.client.OK
    return ask(container, "GET", "/health/ready").status == http.client.OK


class Drill:
    """Runs faults and collects results."""

    def __init__(self, options: Options, show: Callable[[Result], None]) -> None:
        self.options = options
        self.results: list[Result] = []
        self._show = show

    def judge(self, fault: str, promise: Promise, bound_sec: float, answer: Answer) -> None:
        """Hold one answer to one promise."""
        missing = promise.missing(answer)
        if answer.took_sec > bound_sec:
            missing.append(f"within {bound_sec:g} s")
        got = told(answer) + (f" | NOT: {', '.join(missing)}" if missing else "")
        verdict = "fail" if missing else "pass"
        took = round(answer.took_sec, 2)
        self.add(Result(fault, promise.words, got, verdict, bound_sec, took))

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
        result = Result("api-server killed (-9)", "restarted", "ready", "pass", RESTART_SEC, took)
        self.add(result)
        answer = self.options.call(check=True)
        self.judge("the call after the restart", COMPLETE, whole, answer)

    def _in_mid_call(
        self, reached: Callable[[float], bool], fault: Callable[[], object], *, check: bool
    ) -> Answer:
        """Make a call, and the fault once it has come as far as ``reached``."""
        answers: list[Answer] = []
        caller = threading.Thread(target=lambda: answers.append(self.options.call(check=check)))
        began = time.time()
        caller.start()
        awaited("the call is under way", lambda: reached(began), STT_SEC)
        fault()
        caller.join()
        if not answers:
            raise DrillError("the call got no answer at all")
        return answers[0]


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
    components = ask(API, "GET", "/health").body["components"]
    return any(one["name"] == "faster-whisper" and one["state"] == "busy" for one in components)


def _asking_llm(began: float) -> bool:
    return "[AgentBackend] 호출 시작" in docker("logs", "--since", f"{began:.3f}", API)


def restore() -> None:
    """Put back what an interrupted drill may have left broken."""
    _unhide()
    if docker("inspect", "-f", "{{.State.Paused}}", LLM) == "true":
        docker("unpause", LLM)
    docker("start", LLM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else ""
    )
    parser.add_argument(
        "--audio", default="/app/audio/sample_call.wav", help="path in the containers"
    )
    parser.add_argument("--language", default="en", help="its language (default: %(default)s)")
    parser.add_argument(
        "--timeout", type=float, default=120.0, help="seconds for the LLM (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on stdout, and only that")
    return parser


def main() -> int:
    """Run the drill; give the exit code."""
    parts = _parser()
    arguments = parts.parse_args()
    out = sys.stderr if arguments.json else sys.stdout

    def show(one: Result) -> None:
        times = f"{one.took_sec:6.1f} s of {one.bound_sec:g}"
        out.write(f"{one.verdict:4}  {one.fault:34} {times:>15}  {one.got}\n")
        out.flush()

    options = Options(arguments.audio, arguments.language, arguments.timeout)
    drill = Drill(options, show)
    for container in PORTS:
        try:
            docker("inspect", container)
        except DrillError as exc:
            parts.error(f"{exc}: start the containers first (make docker-up)")
    try:
        for container in PORTS:
            awaited(f"{container} is ready", lambda name=container: is_ready(name), RESTART_SEC)  # type: ignore[misc]
        drill.run()
    except (DrillError, OSError) as exc:
        drill.add(Result("the drill", "runs to its end", str(exc), "fail", 0.0, 0.0))
    finally:
        restore()
    failed = [one for one in drill.results if one.verdict != "pass"]
    if arguments.json:
        sys.stdout.write(json.dumps({"results": [asdict(one) for one in drill.results]}, indent=1))
    out.write(f"\n{len(drill.results) - len(failed)} kept, {len(failed)} broken\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
