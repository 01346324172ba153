"""Events to Prometheus. Nothing else imports ``prometheus_client``; nothing is counted twice."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from api_server.clients.events import AgentAnswerRepaired, CircuitChanged
from api_server.compliance.events import TiersDisagreed
from api_server.jobs.events import (
    CaseEnded,
    CasePutBack,
    CaseRevised,
    CasesTakenUp,
    CheckpointSent,
    CheckpointSigned,
    CheckpointUnsent,
    CheckpointUnsigned,
    ClockJumped,
    FileTaken,
    FileUnreadable,
    FolderAnswers,
    FolderFailing,
    RecordingsAnswer,
    RecordingsFailing,
    RepairsGivenUp,
    StoreAnswers,
    StoreFailing,
    WebhookDead,
    WebhookDelivered,
    WebhookPutBack,
)
from api_server.pipeline.admission import Admission
from api_server.pipeline.events import CallGivenUp, CallServed
from api_server.settings.addresses import Address
from api_server.store.records import Backlog
from stt_engine.engine import BACKENDS
from stt_engine.errors import all_errors
from stt_engine.events import AnswerWarned, Event, Stage, WorkerChanged
from stt_engine.log import lost_lines
from stt_engine.model_store.installed import name_at
from stt_engine.outcome import AttemptFailed, Outcome, Refused, StageSettled, error_type_of
from stt_engine.speech import Transcript
from stt_engine.warnings import MESSAGES

E = TypeVar("E", bound=Event)
OTHER = "other"
"""The label of what is not in a closed set."""
Count = Callable[[Event], None]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_LONG = (1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400)
_FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8)
_TIMED = {Stage.STT, Stage.AGENT, Stage.VALIDATION, Stage.TRANSCRIBE, Stage.LOAD}


class FailureMetrics:
    """An observer that counts; its properties read back what Prometheus is given.

    Labels have a closed set of values: what is not in it is counted as ``other``. ``targets`` are
    the servers (scheme, host and port) that the settings name.
    """

    def __init__(self, targets: Iterable[str] = ()) -> None:
        self._targets = frozenset(targets)
        self.registry = CollectorRegistry()
        self.registry.register(_LostLines())
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self._outcomes = counter("outcomes", "Settled stages.", "stage", "source")
        self._failures = counter("failures", "Failed attempts.", "stage", "source", "error_type")
        self._unexpected = counter("unexpected_failures", "Failures outside the taxonomy.")
        self._stage_seconds = histogram(
            "stage_seconds", "Wall-clock seconds until a stage settled.", _SECONDS, "stage"
        )
        self._factor = histogram(
            "realtime_factor", "Seconds of recognition a second of audio.", _FACTORS
        )
        self._audio = counter("audio_seconds", "Seconds of audio recognised.")
        self._models = counter("model_recordings", "Recordings recognised by each model.", "model")
        self._warnings = counter("warnings", "Warnings in answers.", "code")
        self._unheard = counter(
            "unheard_seconds", "Seconds of recordings that did not become text.", "reason"
        )
        self._workers = counter("worker_events", "Child processes.", "role", "what")
        self._transitions = counter("circuit_events", "Circuit breakers.", "target", "what")
        self._refusals = counter(
            "refusals", "Calls refused: the caller's mistake, or no room.", "error_type"
        )
        self._wait = histogram(
            "queue_wait_seconds", "Seconds a call waited for its turn.", _SECONDS
        )
        self._given_up = counter("given_up", "Calls stopped: the caller hung up.")
        self._repairs = counter(
            "agent_repairs", "Answers of the LLM that had to be asked for once more: wrong form."
        )
        self._disagreements = counter(
            "disagreements", "Elements on which the rules and the LLM did not agree.", "element"
        )
        self._work = gauge("queue_audio_seconds", "Seconds of sound still to be recognised.")
        self._depth = gauge("queue_depth", "Calls waiting.")
        self._loaded = gauge("model_loaded", "1 while loaded.", "backend")
        self._ready = gauge("ready", "1 while a known clip is recognised.")
        self._agent_ready = gauge(
            "agent_ready", "1 while the LLM server gives answers; absent while unknown.", "url"
        )
        self._open = gauge("circuit_open", "1 while not closed.", "target")
        self._cases = counter("cases", "Cases of jobs that have ended.", "end")
        self._case_wait = histogram(
            "case_wait_seconds", "Seconds from a case's coming to its last beginning.", _LONG
        )
        self._put_back = counter("cases_put_back", "Tries of cases that this machine failed.")
        self._revised = counter(
            "repairs", "Answers that lacked a stage: completed, or given up.", "end"
        )
        self._files = counter(
            "watched_files", "Files of watched folders, by what they were.", "what"
        )
        self._webhooks = counter("webhooks", "Deliveries of webhooks that were tried.", "end")
        self._to_repair = gauge("repairs_waiting", "Answers that wait for a stage they lack.")
        self._queued = gauge("cases_queued", "Cases of jobs that wait.")
        self._running = gauge("cases_running", "Cases of jobs at work, on every server.")
        self._store_failing = gauge("store_failing", "1 while the store of jobs cannot be used.")
        self._recordings_failing = gauge(
            "recordings_failing", "1 while recordings of jobs cannot be kept."
        )
        self._folders_failing = gauge(
            "watch_folders_failing", "Watched folders that cannot be listed."
        )
        self._checkpoints = gauge(
            "checkpoint_failing",
            "1 while the audit log cannot be signed, or that not sent.",
            "step",
        )
        self._jumps = counter("clock_jumps", "Times that the machine's clock was set.")
        self._taken_up = counter(
            "cases_taken_up", "Cases whose server or worker has disappeared over them."
        )
        self._oldest = gauge("cases_oldest_seconds", "Seconds that the oldest case has waited.")
        self._counts: tuple[Count, ...] = (
            _at(AttemptFailed, self._failed),
            _at(StageSettled, self._settled),
            _at(Refused, self._refused),
            _at(CallGivenUp, lambda _event: self._given_up.inc()),
            _at(CallServed, lambda event: self._wait.observe(event.wait_sec)),
            _at(AgentAnswerRepaired, lambda _event: self._repairs.inc()),
            _at(StoreFailing, lambda _event: self._store_failing.set(1)),
            _at(StoreAnswers, lambda _event: self._store_failing.set(0)),
            _at(RecordingsFailing, lambda _event: self._recordings_failing.set(1)),
            _at(RecordingsAnswer, lambda _event: self._recordings_failing.set(0)),
            _at(FolderFailing, lambda _event: self._folders_failing.inc()),
            _at(FolderAnswers, lambda _event: self._folders_failing.dec()),
            _at(FileUnreadable, lambda _event: self._files.labels("unreadable").inc()),
            _at(CheckpointUnsigned, lambda _event: self._checkpoints.labels("sign").set(1)),
            _at(CheckpointSigned, lambda _event: self._checkpoints.labels("sign").set(0)),
            _at(CheckpointUnsent, lambda _event: self._checkpoints.labels("send").set(1)),
            _at(CheckpointSent, lambda _event: self._checkpoints.labels("send").set(0)),
            _at(TiersDisagreed, lambda event: self._disagreements.labels(event.element).inc()),
            _at(AnswerWarned, self._warned),
            _at(CaseEnded, self._case_ended),
            _at(ClockJumped, lambda _event: self._jumps.inc()),
            _at(CasesTakenUp, self._cases_taken_up),
            _at(CaseRevised, lambda _event: self._revised.labels("revised").inc()),
            _at(
                RepairsGivenUp,
                lambda event: self._revised.labels("given_up").inc(len(event.cases)),
            ),
            _at(
                FileTaken,
                lambda event: self._files.labels("known" if event.known else "taken").inc(),
            ),
            _at(WebhookDelivered, lambda _event: self._webhooks.labels("delivered").inc()),
            _at(WebhookPutBack, lambda _event: self._webhooks.labels("put_back").inc()),
            _at(WebhookDead, lambda _event: self._webhooks.labels("dead").inc()),
            _at(CasePutBack, lambda _event: self._put_back.inc()),
            _at(WorkerChanged, lambda event: self._workers.labels(event.role, event.what).inc()),
            _at(
                CircuitChanged,
                lambda event: self._transitions.labels(
                    self._known_target(event.target), event.what
                ).inc(),
            ),
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"stt_engine_{name}", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"stt_engine_{name}", documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: Sequence[float], *labels: str
    ) -> Histogram:
        return Histogram(
            f"stt_engine_{name}", documentation, labels, buckets=buckets, registry=self.registry
        )

    def __call__(self, event: Event) -> None:
        """Count one event."""
        for count in self._counts:
            count(event)

    def _failed(self, event: AttemptFailed) -> None:
        failure = event.failure
        error_type = _known_error(failure.error_type)
        self._failures.labels(failure.stage, failure.source, error_type).inc()
        self._unexpected.inc(failure.unexpected)

    def _case_ended(self, event: CaseEnded) -> None:
        self._cases.labels(event.state).inc()
        self._case_wait.observe(event.wait_sec)

    def _cases_taken_up(self, event: CasesTakenUp) -> None:
        self._taken_up.inc(len(event.queued) + len(event.failed))
        self._cases.labels("failed").inc(len(event.failed))

    def _warned(self, event: AnswerWarned) -> None:
        code = event.warning.code
        self._warnings.labels(code if code in MESSAGES else OTHER).inc()

    def _known_target(self, target: str) -> str:
        url, space, model = target.partition(" ")
        try:
            server = Address.of(url).server
        except ValueError:
            return OTHER
        return f"{server}{space}{model}" if server in self._targets else OTHER

    def _refused(self, event: Refused) -> None:
        if event.stage == Stage.TRANSCRIBE:
            self._refusals.labels(error_type_of(event.error)).inc()

    def _settled(self, event: StageSettled) -> None:
        outcome = event.outcome
        self._outcomes.labels(event.stage, outcome.source).inc()
        if event.stage in _TIMED:
            self._stage_seconds.labels(event.stage).observe(outcome.elapsed_sec)
        if event.stage == Stage.STT and not outcome.is_dummy:
            self._recognised(cast("Outcome[Transcript]", outcome))
        if event.stage == Stage.STT:
            self._count_unheard(cast("Transcript", outcome.value))

    def _recognised(self, outcome: Outcome[Transcript]) -> None:
        duration = outcome.value.duration
        self._audio.inc(duration)
        self._models.labels(_model_of(outcome)).inc()
        if duration > 0:
            self._factor.observe(outcome.elapsed_sec / duration)

    def _count_unheard(self, transcript: Transcript) -> None:
        for one in transcript.coverage.unheard if transcript.coverage else ():
            self._unheard.labels(one.reason).inc(max(0.0, one.seconds))

    def exposition(
        self,
        queue: Admission,
        loaded: dict[str, bool],
        circuits: dict[str, bool],
        agents: dict[str, bool],
        jobs: Backlog | None = None,
        repairs: int | None = None,
        *,
        ready: bool,
    ) -> bytes:
        """Return the scrape's text, with the gauges as they are now."""
        self._depth.set(queue.waiting)
        self._work.set(queue.work_waiting_sec)
        if repairs is not None:
            self._to_repair.set(repairs)
        if jobs is not None:
            self._queued.set(jobs.queued)
            self._running.set(jobs.running)
            waits = time.time() - jobs.oldest_at if jobs.oldest_at is not None else 0.0
            self._oldest.set(max(0.0, waits))
        for url, is_ready in agents.items():
            self._agent_ready.labels(url).set(is_ready)
        self._ready.set(ready)
        for backend, is_loaded in loaded.items():
            self._loaded.labels(backend).set(is_loaded)
        opened: dict[str, bool] = {}
        for target, is_open in circuits.items():
            known = self._known_target(target)
            opened[known] = opened.get(known, False) or is_open
        for known, is_open in opened.items():
            self._open.labels(known).set(is_open)
        return generate_latest(self.registry)

    def _count(self, stage: Stage, *, dummies_only: bool) -> int:
        return int(
            sum(
                sample.value
                for metric in self._outcomes.collect()
                for sample in metric.samples
                if sample.name.endswith("_total")
                and sample.labels["stage"] == stage
                and (not dummies_only or sample.labels["source"] == "dummy")
            )
        )

    @property
    def stt_total_count(self) -> int:
        """Recordings that were to be recognised."""
        return self._count(Stage.STT, dummies_only=False)

    @property
    def stt_failure_count(self) -> int:
        """Recordings that no backend could recognise."""
        return self._count(Stage.STT, dummies_only=True)

    @property
    def stt_failure_rate(self) -> float:
        """Failures over total; 0 before the first."""
        return self.stt_failure_count / (self.stt_total_count or 1)

    @property
    def agent_total_count(self) -> int:
        """Calls to agents."""
        return self._count(Stage.AGENT, dummies_only=False)

    @property
    def agent_failure_count(self) -> int:
        """Calls to agents without a usable answer."""
        return self._count(Stage.AGENT, dummies_only=True)

    @property
    def agent_failure_rate(self) -> float:
        """Failures over total; 0 before the first."""
        return self.agent_failure_count / (self.agent_total_count or 1)

    def rates(self) -> dict[str, float]:
        """Return the original's counts and rates."""
        return {
            "stt_failure_count": self.stt_failure_count,
            "stt_total_count": self.stt_total_count,
            "stt_failure_rate": self.stt_failure_rate,
            "agent_failure_count": self.agent_failure_count,
            "agent_total_count": self.agent_total_count,
            "agent_failure_rate": self.agent_failure_rate,
        }


class _LostLines(Collector):
    """What the logs count themselves, as an event of it would end in another line."""

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the lines that each log has lost."""
        words = "Log lines that could not be written."
        family = CounterMetricFamily("stt_engine_log_lines_lost", words, labels=["log"])
        for which, lost in lost_lines().items():
            family.add_metric([which], lost)
        return [family]


def _model_of(outcome: Outcome[Transcript]) -> str:
    """Return the name of the model that recognised; another server's own is none that we know."""
    model = outcome.value.provenance.get("model")
    known = isinstance(model, str) and outcome.source in BACKENDS
    return name_at(Path(str(model))) if known else OTHER


def _known_error(error_type: str) -> str:
    """Return a name of the taxonomy or of Python; another server's own words are neither."""
    known = {one.error_type for one in all_errors().values()}
    return error_type if error_type in known or hasattr(builtins, error_type) else OTHER


def _at(of: type[E], count: Callable[[E], None]) -> Count:
    """Return what counts the events of one type and passes over the others."""

    def counted(event: Event) -> None:
        if isinstance(event, of):
            count(event)

    return counted
