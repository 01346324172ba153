"""The composition root: settings to wired parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import anyio.to_thread

from api_server.agent_proof import AgentProof
from api_server.analysis import CallAnalysis
from api_server.health import LastFailures, Readiness
from api_server.log_lines import AGENT_LINES, CIRCUIT_LINES
from api_server.metrics import FailureMetrics
from api_server.models import HealthResponse
from api_server.services.admission import Admission
from api_server.services.agent_backend import AgentBackend
from api_server.services.asking import AskLimits
from api_server.services.circuit_policy import CircuitPolicy, CircuitSnapshot
from api_server.services.redaction import redact
from api_server.services.remote_stt import RemoteStt
from api_server.services.rubric import DEFAULT_RUBRIC, load_rubric
from api_server.services.validation_lines import VALIDATION_LINES
from api_server.services.validator import (
    IncompleteElementsValidator,
    get_incomplete_elements_validator,
)
from api_server.settings import Settings
from api_server.transcribe_lines import HEALTH_LINES, TRANSCRIBE_LINES
from stt_engine.engine import WhisperSTT
from stt_engine.fetch_lines import FETCH_LINES
from stt_engine.log import LogObserver
from stt_engine.outcome import Observer
from stt_engine.stt_lines import stt_lines
from stt_engine.version import __version__


def log_observer(*, reveal_text: bool) -> LogObserver:
    """Give the observer that writes every line."""
    return LogObserver(
        stt_lines(reveal_text=reveal_text),
        FETCH_LINES,
        TRANSCRIBE_LINES,
        AGENT_LINES,
        VALIDATION_LINES,
        CIRCUIT_LINES,
        HEALTH_LINES,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that one server holds."""

    settings: Settings
    stt: WhisperSTT
    remote: RemoteStt | None
    agent: AgentBackend
    validator: IncompleteElementsValidator
    admission: Admission
    analysis: CallAnalysis
    metrics: FailureMetrics
    last_failures: LastFailures
    readiness: Readiness
    agent_proof: AgentProof

    @classmethod
    def of(cls, settings: Settings, *, begin: bool = False) -> Service:
        """Wire a server. Connects to nothing.

        ``begin`` has the model loaded beside the rest of the wiring, which reads the hundreds of
        rules of the built-in rubric; without it nothing is loaded.

        Raises:
            RubricInvalid: the rubric file is wrong.
            ValueError: a backend's name is wrong.
        """
        metrics, last_failures = FailureMetrics(), LastFailures()
        observers: tuple[Observer, ...] = (
            log_observer(
                reveal_text=settings.log_transcripts and settings.redaction != "everywhere"
            ),
            metrics,
            last_failures,
        )
        remote = _remote(settings, observers)
        stt = _engine(settings, observers, remote)
        readiness = Readiness(
            stt,
            settings.ready_canary_text,
            settings.ready_interval_sec,
            settings.ready_proof_sec,
            observers,
        )
        # A rubric of the operator's own may be wrong, and is read before anything is begun.
        own = load_rubric(settings.rubric_path) if settings.rubric_path else None
        if begin:
            readiness.begin()
        agent_proof = AgentProof(
            settings.agent_url,
            settings.agent_proof_sec,
            settings.agent_proof_timeout_sec,
            observers,
            wanted="vllm_api_url" in settings.model_fields_set,
        )
        agent = _agent(settings, (*observers, agent_proof))
        rubric = load_rubric(DEFAULT_RUBRIC) if own is None else own
        mask = None if settings.redaction == "off" else redact
        everywhere = settings.redaction == "everywhere"
        validator = get_incomplete_elements_validator(
            agent,
            rubric,
            observers,
            mask=mask,
            mask_evidence=everywhere,
            limits=AskLimits(
                settings.agent_max_tokens,
                settings.agent_chunk_chars,
                settings.agent_chunks_at_once,
            ),
        )
        admission = Admission(settings.queue_max_waiting, settings.queue_max_wait_sec)
        return cls(
            settings,
            stt,
            remote,
            agent,
            validator,
            admission,
            CallAnalysis(stt, validator, admission, observers, mask if everywhere else None),
            metrics,
            last_failures,
            readiness,
            agent_proof,
        )

    def health(self, *, checks: bool = True) -> HealthResponse:
        """Give the state of every wired component; waits for nothing.

        ``checks=False`` leaves the agent out: this server is never asked for a check.
        """
        ready = self.readiness.reason is None
        circuits = self._circuits()
        agent = self.agent_proof
        components: list[dict[str, Any]] = [
            {"name": one.name, "state": one.state, "loaded": one.loaded, "pid": one.pid}
            for one in self.stt.components()
        ]
        if checks:
            components.append({"name": "agent", "url": agent.url, **asdict(agent.now)})
        components.append(
            {
                "name": "queue",
                "state": "ok",
                "waiting": self.admission.waiting,
                "audio_sec": round(self.admission.work_waiting_sec, 1),
                "realtime_factor": round(self.admission.factor, 3),
            }
        )
        checks_fail = checks and agent.now.state == "failing"
        well = ready and not checks_fail and all(one.state == "closed" for one in circuits)
        return HealthResponse(
            status="healthy" if well else "degraded",
            ready=ready,
            version=__version__,
            components=components,
            circuits=[_circuit(one) for one in circuits],
            last_failures=self.last_failures.failures(),
            metrics=self.metrics.rates(),
        )

    def exposition(self) -> bytes:
        """Give the Prometheus text."""
        loaded = {one.name: one.loaded for one in self.stt.components() if one.name != "audio"}
        circuits = {one.target: one.state != "closed" for one in self._circuits()}
        agent = self.agent_proof
        known = agent.now.state != "unknown"
        agents = {agent.url: agent.now.state == "ok"} if known else {}
        ready = self.readiness.reason is None
        return self.metrics.exposition(self.admission, loaded, circuits, agents, ready=ready)

    def _circuits(self) -> tuple[CircuitSnapshot, ...]:
        remote = self.remote.circuits.snapshots() if self.remote else ()
        return self.agent.circuits.snapshots() + remote

    async def stop(self) -> None:
        """Have every call in hand answered now, with what there is."""
        self.readiness.end()
        self.agent.stop()
        await anyio.to_thread.run_sync(self.stt.stop)

    async def aclose(self) -> None:
        """End child processes and connections."""
        self.readiness.end()
        self.stt.close()
        await self.agent.aclose()


def _remote(settings: Settings, observers: tuple[Observer, ...]) -> RemoteStt | None:
    if settings.stt_remote_url is None:
        return None
    key = settings.stt_remote_api_key
    return RemoteStt(
        settings.stt_remote_url,
        settings.limits(),
        observers,
        api_key=key.get_secret_value() if key else None,
        circuit_policy=_circuit_policy(settings),
        connect_timeout_sec=settings.agent_connect_timeout_sec,
    )


def _circuit_policy(settings: Settings) -> CircuitPolicy:
    return CircuitPolicy(
        failure_threshold=settings.circuit_failure_threshold,
        recovery_timeout=settings.circuit_recovery_timeout_sec,
    )


def _engine(
    settings: Settings, observers: tuple[Observer, ...], remote: RemoteStt | None
) -> WhisperSTT:
    return WhisperSTT(
        settings.stt_model_path,
        settings.stt_device,
        settings.stt_compute_type,
        backends=settings.stt_backends,
        limits=settings.limits(),
        tuning=settings.tuning(),
        observers=observers,
        first=remote,
        preload=False,
    )


def _agent(settings: Settings, observers: tuple[Observer, ...]) -> AgentBackend:
    key = settings.agent_api_key
    return AgentBackend(
        observers=observers,
        circuit_policy=_circuit_policy(settings),
        model=settings.agent_model,
        api_key=key.get_secret_value() if key else None,
        connect_timeout_sec=settings.agent_connect_timeout_sec,
    )


def _circuit(snapshot: CircuitSnapshot) -> dict[str, Any]:
    return {
        "target": snapshot.target,
        "state": snapshot.state,
        "failures": snapshot.failures,
        "retry_after": snapshot.retry_after,
    }
