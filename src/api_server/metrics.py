"""Events to Prometheus. Nothing else imports ``prometheus_client``; nothing is counted twice."""

from __future__ import annotations

from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from api_server.services.admission import ADMITTED, GIVEN_UP, Admission
from api_server.services.agent_backend import REPAIR
from api_server.services.validation_lines import DISAGREEMENT
from stt_engine.outcome import REJECTED, Event, Stage
from stt_engine.speech import Transcript

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_FACTORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8)
_TIMED = {Stage.STT, Stage.AGENT, Stage.VALIDATION, Stage.TRANSCRIBE, Stage.LOAD}


class FailureMetrics:
    """An observer that counts; its properties read back what Prometheus is given."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._outcomes = Counter(
            "stt_engine_outcomes", "Settled stages.", ["stage", "source"], registry=registry
        )
        self._failures = Counter(
            "stt_engine_failures",
            "Failed attempts.",
            ["stage", "source", "error_type"],
            registry=registry,
        )
        self._unexpected = Counter(
            "stt_engine_unexpected_failures", "Failures outside the taxonomy.", registry=registry
        )
        self._stage_seconds = Histogram(
            "stt_engine_stage_seconds",
            "Wall-clock seconds until a stage settled.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._factor = Histogram(
            "stt_engine_realtime_factor",
            "Seconds of recognition a second of audio.",
            buckets=_FACTORS,
            registry=registry,
        )
        self._audio = Counter(
            "stt_engine_audio_seconds", "Seconds of audio recognised.", registry=registry
        )
        self._workers = Counter(
            "stt_engine_worker_events", "Child processes.", ["role", "what"], registry=registry
        )
        self._transitions = Counter(
            "stt_engine_circuit_events", "Circuit breakers.", ["target", "what"], registry=registry
        )
        self._refusals = Counter(
            "stt_engine_refusals",
            "Calls refused: the caller's mistake, or no room.",
            ["error_type"],
            registry=registry,
        )
        self._wait = Histogram(
            "stt_engine_queue_wait_seconds",
            "Seconds a call waited for its turn.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._given_up = Counter(
            "stt_engine_given_up", "Calls stopped: the caller hung up.", registry=registry
        )
        self._repairs = Counter(
            "stt_engine_agent_repairs",
            "Answers of the LLM that had to be asked for once more: wrong form.",
            registry=registry,
        )
        self._disagreements = Counter(
            "stt_engine_disagreements",
            "Elements on which the rules and the LLM did not agree.",
            ["element"],
            registry=registry,
        )
        self._work = Gauge(
            "stt_engine_queue_audio_seconds",
            "Seconds of sound still to be recognised.",
            registry=registry,
        )
        self._depth = Gauge("stt_engine_queue_depth", "Calls waiting.", registry=registry)
        self._loaded = Gauge(
            "stt_engine_model_loaded", "1 while loaded.", ["backend"], registry=registry
        )
        self._ready = Gauge(
            "stt_engine_ready", "1 while a known clip is recognised.", registry=registry
        )
        self._agent_ready = Gauge(
            "stt_engine_agent_ready",
            "1 while the LLM server gives answers; absent while unknown.",
            ["url"],
            registry=registry,
        )
        self._open = Gauge(
            "stt_engine_circuit_open", "1 while not closed.", ["target"], registry=registry
        )

    def __call__(self, event: Event) -> None:
        """Count one event."""
        if event.kind == "failed" and event.failure is not None:
            failure = event.failure
            self._failures.labels(failure.stage, failure.source, failure.error_type).inc()
            self._unexpected.inc(failure.unexpected)
        elif event.kind == "settled" and event.outcome is not None:
            self._settled(event)
        elif event.source == REJECTED and event.stage == Stage.TRANSCRIBE:
            self._refusals.labels(str(event.detail["error_type"])).inc()
        elif event.source == GIVEN_UP:
            self._given_up.inc()
        elif event.source == ADMITTED:
            self._wait.observe(float(str(event.detail["wait_sec"])))
        elif event.source == REPAIR:
            self._repairs.inc()
        elif event.source == DISAGREEMENT:
            self._disagreements.labels(str(event.detail["element"])).inc()
        elif event.stage == Stage.WORKER:
            self._workers.labels(event.source, str(event.detail["what"])).inc()
        elif event.stage == Stage.CIRCUIT:
            self._transitions.labels(event.source, str(event.detail["transition"])).inc()

    def _settled(self, event: Event) -> None:
        self._outcomes.labels(event.stage, event.source).inc()
        if event.stage in _TIMED:
            self._stage_seconds.labels(event.stage).observe(event.elapsed_sec)
        if event.stage == Stage.STT and event.outcome and not event.outcome.is_dummy:
            heard = cast("Transcript", event.outcome.value)
            self._audio.inc(heard.duration)
            if heard.duration > 0:
                self._factor.observe(event.elapsed_sec / heard.duration)

    def exposition(
        self,
        queue: Admission,
        loaded: dict[str, bool],
        circuits: dict[str, bool],
        agents: dict[str, bool],
        *,
        ready: bool,
    ) -> bytes:
        """Give the scrape's text, with the gauges as they are now."""
        self._depth.set(queue.waiting)
        self._work.set(queue.work_waiting_sec)
        for url, is_ready in agents.items():
            self._agent_ready.labels(url).set(is_ready)
        self._ready.set(ready)
        for backend, is_loaded in loaded.items():
            self._loaded.labels(backend).set(is_loaded)
        for target, is_open in circuits.items():
            self._open.labels(target).set(is_open)
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
        """Give the original's counts and rates."""
        return {
            "stt_failure_count": self.stt_failure_count,
            "stt_total_count": self.stt_total_count,
            "stt_failure_rate": self.stt_failure_rate,
            "agent_failure_count": self.agent_failure_count,
            "agent_total_count": self.agent_total_count,
            "agent_failure_rate": self.agent_failure_rate,
        }
