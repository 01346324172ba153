"""A tour of the promises: the real server, real speech, a real LLM, and what happens without them.

Healthy; the LLM server killed; the model folder gone; both; and the model back, with no restart.
Then the page for reviewers with sample calls; at a terminal it stays open until Enter.
Each answer is compared with what was promised; the exit code is 1 if one differs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from review_page import CALLS, put_samples
from rich.markup import escape
from rich.table import Table
from tour_screen import Answer, print_answer, print_elements, print_log, screen

from stt_engine import log
from stt_engine.events import Event
from stt_engine.model_store.events import FetchProgressed
from stt_engine.model_store.store import ensure_model_exists

ROOT = Path(__file__).resolve().parent.parent
CALL = ROOT / "audio" / "sample_call.wav"
KOREAN_CALL = ROOT / "audio" / "sample_call_ko.json"
RUBRIC = ROOT / "examples" / "tour_rubric.toml"
KOREAN_TURNS = 8  # this model needs three tokens for two Korean letters
WHISPER = "Systran/faster-whisper-base"
LLM = "smollm2-135m-instruct"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"

START_SEC = 120.0
AGENT_SEC = 240.0  # a language model on two busy cores takes its time
LLM_CONTEXT = 16384


@dataclass(frozen=True)
class Stop:
    """One stop of the tour. ``promised``: field to the value it must have."""

    title: str
    promised: dict[str, object]
    degraded: str | None = None
    check: bool = True


STOPS = {
    "a": Stop(
        "(a) healthy: transcript, and the LLM's check with evidence",
        {"success": True, "is_dummy": False, "is_agent_dummy": False, "is_partial_failure": False},
    ),
    "b": Stop(
        "(b) the LLM server is killed: the transcript stays, the failed check is named",
        {"success": True, "is_agent_dummy": True, "is_partial_failure": True,
         "incomplete_elements": None},
        "agent",
    ),
    "c": Stop(
        "(c) the model folder is gone: an honest dummy; the LLM is asked, and finds nothing",
        {"success": False, "text": "", "is_dummy": True, "error_type": "FileNotFoundError",
         "is_agent_dummy": False},
        "stt",
    ),
    "d": Stop(
        "(d) both are gone: still an answer, and it says so",
        {"success": False, "text": "", "is_dummy": True, "is_agent_dummy": True,
         "incomplete_elements": None},
        "stt,agent",
    ),
    "e": Stop(
        "(e) the model folder is back: the same server, never restarted, transcribes again",
        {"success": True, "is_dummy": False},
        check=False,
    ),
}  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Tour:
    """The running processes, and what has been seen so far."""

    folder: Path
    gguf: Path
    model: Path
    server_port: int = field(default_factory=_free_port)
    llm_port: int = field(default_factory=_free_port)
    page_port: int = 0
    llm: subprocess.Popen[bytes] | None = None
    rows: list[tuple[str, bool, float]] = field(default_factory=list)

    @property
    def server_url(self) -> str:
        """Where the server under show listens."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def page_url(self) -> str:
        """Where the page for reviewers is."""
        return f"http://127.0.0.1:{self.page_port}/review"

    @property
    def log_file(self) -> Path:
        """The server's own log."""
        return self.folder / "api-server.log"

    @property
    def link(self) -> Path:
        """The model folder as the server knows it: a link, so that it can go and come back."""
        return self.folder / "whisper-base"

    def start_llm(self) -> None:
        """Start a real LLM server and wait until it has loaded its model."""
        self.llm = _start(
            [sys.executable, ROOT / "examples" / "llm_server.py", self.gguf, self.llm_port,
             LLM_CONTEXT],
            self.folder / "llm.log",
        )  # fmt: skip
        _wait(f"http://127.0.0.1:{self.llm_port}/health", self.llm)

    def kill_llm(self) -> None:
        """Kill the LLM server, as a crash would."""
        if self.llm is not None:
            self.llm.kill()
            self.llm.wait()

    def show(self, key: str) -> None:
        """Send the sample call, print what came back, and hold it against the promise."""
        stop = STOPS[key]
        screen.rule(f"[bold]{stop.title}")
        before = self.log_file.stat().st_size
        began = time.monotonic()
        with screen.status("POST /transcribe ..."):
            response = httpx2.post(
                f"{self.server_url}/transcribe",
                data={
                    "file_path": str(CALL),
                    "language": "en",
                    "incomplete_elements_check": str(stop.check).lower(),
                    "timeout": str(AGENT_SEC),
                },
                timeout=AGENT_SEC + START_SEC,
                trust_env=False,
            )
        took = time.monotonic() - began
        answer = response.json()
        kept = _differences(stop, response, answer)
        print_answer(answer, response.headers.get("x-stt-degraded"))
        print_log(self.log_file, before)
        for difference in kept:
            screen.print(f"[red]not as promised: {escape(difference)}[/red]")
        self.rows.append((stop.title, not kept, took))

    def analyze_korean(self) -> None:
        """Check the Korean transcript alone, through POST /analyze."""
        screen.rule("[bold]the LLM leg by itself: a Korean transcript to POST /analyze")
        segments = json.loads(KOREAN_CALL.read_text(encoding="utf-8"))["segments"]
        body = {"segments": segments[:KOREAN_TURNS], "timeout": AGENT_SEC}
        screen.print(f"  the first {KOREAN_TURNS} of {len(segments)} turns of {KOREAN_CALL.name}")
        began = time.monotonic()
        with screen.status("POST /analyze ..."):
            response = httpx2.post(
                f"{self.server_url}/analyze", json=body, timeout=AGENT_SEC + 30, trust_env=False
            )
        answer = response.json()
        print_elements(answer.get("incomplete_elements"))
        well = bool(response.is_success and answer["success"] and not answer["is_agent_dummy"])
        if not well:
            screen.print(f"[red]{escape(str(answer))}[/red]")
        self.rows.append(
            ("Korean transcript through POST /analyze", well, time.monotonic() - began)
        )


def main() -> int:
    """Take the tour; give the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    screen.print(f"[bold]stt-engine: the tour[/bold] (the sample call is {CALL.name}, synthesised)")
    whisper, gguf = _models()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stt-demo-")))
        tour = Tour(folder, gguf, whisper)
        tour.link.symlink_to(whisper)
        stack.callback(tour.kill_llm)
        stack.enter_context(_server(tour, tour.server_port))
        _walk(tour)
        _show_page(stack, tour)
        failed = _summary(tour)
        if sys.stdin.isatty() and sys.stdout.isatty():
            _wait_for_reader(tour)
    return failed


def _walk(tour: Tour) -> None:
    with screen.status("starting a real LLM server (llama.cpp, SmolLM2-135M) ..."):
        tour.start_llm()
    tour.show("a")
    tour.analyze_korean()
    tour.kill_llm()
    tour.show("b")
    with screen.status("starting the LLM server again ..."):
        tour.start_llm()
    tour.link.unlink()
    tour.show("c")
    tour.kill_llm()
    tour.show("d")
    tour.link.symlink_to(tour.model)
    tour.show("e")


def _show_page(stack: ExitStack, tour: Tour) -> None:
    """Serve the page for reviewers with sample calls; the call that was heard comes as a job."""
    screen.rule("[bold]the page for reviewers: the calls, and what was found in them")
    began = time.monotonic()
    put_samples(tour.folder)
    tour.page_port = _free_port()
    environment = {
        "REVIEW_PAGE": "true",
        "DATABASE_URL": f"sqlite:///{tour.folder / 'cases.db'}",
        "LOG_FILE": str(tour.folder / "page.log"),
        "REVIEW_SAMPLE_PERCENT": "100",
        "RUBRIC_PATH": "",  # the calls were judged by the rubric that is built in
    }
    stack.enter_context(_server(tour, tour.page_port, **environment))
    with screen.status("POST /jobs with the sample call ..."):
        state = _hear(tour)
    answer = httpx2.get(f"{tour.page_url}/login", timeout=30, trust_env=False)
    well = answer.is_success and "demo-reviewer-1" in answer.text and state == "done"
    screen.print(f"  {len(CALLS) + 1} calls; the one with a recording: {state}")
    tour.rows.append(("the page for reviewers", well, time.monotonic() - began))


def _hear(tour: Tour) -> str:
    """Send the sample call as a job, and return the state of its case when it has ended."""
    base = f"http://127.0.0.1:{tour.page_port}"
    with CALL.open("rb") as sound, httpx2.Client(timeout=30, trust_env=False) as client:
        sent = client.post(f"{base}/jobs", files={"file": (CALL.name, sound)})
        job, until = sent.json()["id"], time.monotonic() + START_SEC
        while time.monotonic() < until:
            (case,) = client.get(f"{base}/cases", params={"job": job}).json()["cases"]
            if case["state"] not in {"queued", "running"}:
                return str(case["state"])
            time.sleep(0.5)
    return "not done"


def _wait_for_reader(tour: Tour) -> None:
    screen.print(f"\n[bold]the page is open: {tour.page_url}[/bold] (Enter ends it)")
    webbrowser.open(tour.page_url)
    with suppress(KeyboardInterrupt, EOFError):
        input()


def _models() -> tuple[Path, Path]:
    """Have the real weights here; the first time this downloads about 230 MB."""
    with screen.status("looking for models ...") as status:

        def told(event: Event) -> None:
            if isinstance(event, FetchProgressed) and event.total:
                done = f"{event.done / 1e6:.0f} of {event.total / 1e6:.0f} MB"
                status.update(f"{event.model}: {done}")

        models = Path(os.environ.get("MODELS_DIR", ROOT / "models"))
        whisper = ensure_model_exists(WHISPER, models, observers=(told,))
        gguf = ensure_model_exists(LLM, models, observers=(told,)) / GGUF
    screen.print(f"models: {whisper.name} and {gguf.name}")
    return whisper.resolve(), gguf


@contextmanager
def _server(tour: Tour, port: int, **settings: str) -> Iterator[None]:
    environment = {
        **os.environ,
        "STT_MODEL_PATH": str(tour.link),
        "AUDIO_ROOTS": str(CALL.parent),
        "VLLM_API_URL": f"http://127.0.0.1:{tour.llm_port}/v1",
        "LOG_FILE": str(tour.log_file),
        "LOG_TRANSCRIPTS": "true",
        "RUBRIC_PATH": str(RUBRIC),
        "READY_INTERVAL_SEC": "5",
        **settings,
    }
    command = [sys.executable, "-m", "stt_tools", "serve", "--port", port]
    url = f"http://127.0.0.1:{port}"
    server = _start(command, tour.folder / "server.out", environment)
    try:
        with screen.status("starting the server (ready once it has recognised a known clip) ..."):
            _wait(f"{url}/health/ready", server)
        screen.print(f"server ready: {url}")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def _start(
    command: list[Any], output: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    with output.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own programs
            [str(part) for part in command],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait for HTTP 200; give up when the process ends or time is over."""
    until = time.monotonic() + START_SEC
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"a server ended with exit code {process.returncode} ({url})")
        if _answers(url):
            return
        time.sleep(0.2)
    raise SystemExit(f"{url} was not ready within {START_SEC:g} s")


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5, trust_env=False).is_success
    except httpx2.TransportError:
        return False


def _differences(stop: Stop, response: httpx2.Response, answer: Answer) -> list[str]:
    found = [
        f"{name} is {answer.get(name)!r}, not {value!r}"
        for name, value in stop.promised.items()
        if answer.get(name) != value
    ]
    if response.headers.get("x-stt-degraded") != stop.degraded:
        found.append(f"X-STT-Degraded is {response.headers.get('x-stt-degraded')!r}")
    elements = (answer.get("incomplete_elements") or {}).get("elements", [])
    verdicts = {element["status"] for element in elements} - {"not_applicable"}
    if not answer["success"] and verdicts - {"undetermined"}:
        found.append(f"verdicts on a call that was not heard: {verdicts}")
    return found


def _summary(tour: Tour) -> int:
    table = Table(title="what was promised, and what came")
    for heading in ("stop", "as promised", "seconds"):
        table.add_column(heading)
    for title, well, took in tour.rows:
        table.add_row(title, "[green]yes[/green]" if well else "[red]NO[/red]", f"{took:.1f}")
    screen.print(table)
    screen.print(
        "SmolLM2-135M is far too small to judge a call: it shows the road. What it cannot prove "
        "with a quote, or by showing that it read the call to its end, stays undetermined. "
        f"{RUBRIC.name} has 4 of the default rubric's 16 elements."
    )
    return 0 if all(well for _, well, _ in tour.rows) else 1


if __name__ == "__main__":
    log.configure("CRITICAL")
    sys.exit(main())
