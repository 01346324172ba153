"""The composition root: settings to wired parts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio.to_thread

from api_server.access.key_ring import KeyRing
from api_server.clients.agent.backend import AgentBackend
from api_server.clients.agent.formats import redact_url
from api_server.clients.circuit_policy import CircuitPolicy
from api_server.clients.remote_stt import RemoteStt
from api_server.compliance.live_validator import LiveValidator
from api_server.compliance.llm_review import ReviewLimits
from api_server.compliance.questions import elements_that_fit
from api_server.compliance.rubric import DEFAULT_RUBRIC, Rubric, load_rubric
from api_server.compliance.text_worker import TextInChild, TextOptions
from api_server.compliance.validator import IncompleteElementsValidator, weighing_of
from api_server.jobs.call_keeper import CallKeeper
from api_server.jobs.clock_watch import ClockWatch
from api_server.jobs.desk import InForce, JobDesk, Records
from api_server.jobs.enrolled import EnrolledVoices
from api_server.jobs.parts import JobParts, desk_of
from api_server.jobs.repairer import Dependencies, Repairer, Trust
from api_server.jobs.rests import Rests
from api_server.jobs.role_swap import RoleSwap
from api_server.jobs.rubrics_in_use import RubricsInUse
from api_server.jobs.runner import JobRunner
from api_server.jobs.store_probe import StoreProbe
from api_server.jobs.watcher import FolderWatcher
from api_server.jobs.webhooks import WebhookSender
from api_server.observability.agent_probe import AgentProbe
from api_server.observability.health import (
    HealthReport,
    agent_health,
    engine_health,
    jobs_health,
    queue_health,
    storage_health,
    store_health,
    text_health,
)
from api_server.observability.log_lines.access import ACCESS_LINES
from api_server.observability.log_lines.agent import AGENT_LINES, CIRCUIT_LINES
from api_server.observability.log_lines.jobs import JOB_LINES
from api_server.observability.log_lines.transcribe import HEALTH_LINES, TRANSCRIBE_LINES
from api_server.observability.log_lines.validation import VALIDATION_LINES
from api_server.observability.metrics import FailureMetrics
from api_server.observability.readiness import LastFailures, Readiness
from api_server.pipeline.admission import Admission
from api_server.pipeline.analysis import CallAnalysis
from api_server.pipeline.check_admission import CheckAdmission
from api_server.pipeline.model_names import ModelNames
from api_server.pipeline.recordings import Recordings, TemporaryRecordings
from api_server.pipeline.records import proof_of, retention_of
from api_server.pipeline.storage import Storage
from api_server.settings import Settings
from stt_engine.engine import WhisperSTT
from stt_engine.events import Observer
from stt_engine.log import LogObserver
from stt_engine.model_store.log_lines import FETCH_LINES
from stt_engine.model_store.places import find_model
from stt_engine.recognition.diarisation import MODEL
from stt_engine.recognition.log_lines import stt_lines
from stt_engine.workers.process import WorkerLimits


def log_observer(*, reveal_text: bool) -> LogObserver:
    """Return the observer that writes every line."""
    return LogObserver(
        stt_lines(reveal_text=reveal_text),
        FETCH_LINES,
        TRANSCRIBE_LINES,
        AGENT_LINES,
        VALIDATION_LINES,
        CIRCUIT_LINES,
        HEALTH_LINES,
        ACCESS_LINES,
        JOB_LINES,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that one server holds."""

    settings: Settings
    keys: KeyRing
    stt: WhisperSTT
    models: ModelNames
    remote: RemoteStt | None
    agent: AgentBackend
    text: TextInChild
    validator: LiveValidator
    rubrics: RubricsInUse
    admission: Admission
    checks: CheckAdmission
    analysis: CallAnalysis
    recordings: Recordings
    storage: Storage
    desk: JobDesk
    jobs: JobRunner
    calls: CallKeeper
    repairer: Repairer
    roles: RoleSwap
    webhooks: WebhookSender
    watchers: tuple[FolderWatcher, ...]
    store_probe: StoreProbe
    clock: ClockWatch
    metrics: FailureMetrics
    readiness: Readiness
    agent_probe: AgentProbe
    report: HealthReport
    observers: tuple[Observer, ...]
    leaving: threading.Event = field(default_factory=threading.Event)
    """Set once the server ends: what would be followed for long is followed no more."""

    @classmethod
    def of(cls, settings: Settings, *, begin: bool = False, checks: bool = True) -> Service:
        """Wire a server. Connects to nothing.

        ``begin`` has the model loaded beside the rest of the wiring, which reads the hundreds of
        rules of the built-in rubric; without it nothing is loaded. ``checks=False``: this server is
        never asked for a check, so the agent's state is not shown.

        Raises:
            RubricInvalid: the rubric file is wrong.
            KeysInvalid: the keys cannot be used.
        KeyMissing: the keys of recordings cannot be used.
        """
        metrics, last_failures = FailureMetrics(settings.targets()), LastFailures()
        observers: tuple[Observer, ...] = (
            log_observer(reveal_text=settings.reveals_text),
            metrics,
            last_failures,
        )
        keys = KeyRing(settings, observers)
        remote = _remote(settings, observers)
        stt = _engine(settings, observers, remote)
        readiness = _readiness(settings, observers, stt)
        # A rubric of the operator's own may be wrong, and is read before anything is begun.
        source = settings.rubric_path or DEFAULT_RUBRIC
        own = load_rubric(source) if settings.rubric_path else None
        if begin:
            readiness.begin()
        rests = Rests()
        probe = _agent_probe(settings, (*observers, rests))
        agent = _agent(settings, (*observers, probe, rests))
        rubric = own or load_rubric(source)
        text = _text(settings, observers, rubric)
        limits = _review_limits(settings)
        validator = LiveValidator(
            rubric,
            source,
            lambda rubric: IncompleteElementsValidator(
                agent,
                rubric,
                observers,
                text.with_rubric(rubric),
                limits=limits,
                weighing=weighing_of(rubric, settings.check_min_precision),
            ),
            observers,
        )
        admission = Admission(settings.queue_max_waiting, settings.queue_max_wait_sec)
        mask = text.mask if settings.redaction == "everywhere" else None
        places = CheckAdmission(settings.analyze_max_at_once)
        rubrics = RubricsInUse(validator)
        records = Records(
            retention_of(settings),
            proof_of(settings),
            _in_force(settings.as_text(), validator),
            rubrics.look,
        )
        desk = desk_of(settings, records, observers)
        enrolled = EnrolledVoices(desk) if settings.known_voices else None
        analysis = CallAnalysis(stt, validator, admission, observers, mask, enrolled)
        storage = Storage(settings.audio_roots, settings.audio_open_timeout_sec, observers)
        known = Dependencies(
            lambda: readiness.reason is None,
            lambda url: _trust_in(url, agent, probe),
            lambda: admission.quiet,
        )
        models = ModelNames.of(settings)
        parts = JobParts.of(
            settings, desk, analysis, models, storage.uploads, known, rests, observers
        )
        checking = (
            [
                agent_health(probe),
                text_health(text, places),
                jobs_health(parts),
                store_health(parts),
            ]
            if checks
            else []
        )
        storing = storage_health(storage)
        sources = [engine_health(stt), *checking, queue_health(admission), storing]
        circuits = [agent.circuits, *([remote.circuits] if remote else [])]
        return cls(
            settings=settings,
            keys=keys,
            stt=stt,
            models=models,
            remote=remote,
            agent=agent,
            text=text,
            validator=validator,
            rubrics=rubrics,
            admission=admission,
            checks=places,
            analysis=analysis,
            recordings=TemporaryRecordings(),
            storage=storage,
            desk=parts.desk,
            jobs=parts.runner,
            calls=parts.calls,
            repairer=parts.repairer,
            roles=parts.roles,
            webhooks=parts.webhooks,
            watchers=parts.watchers,
            store_probe=parts.store_probe,
            clock=parts.clock,
            metrics=metrics,
            readiness=readiness,
            agent_probe=probe,
            observers=observers,
            report=HealthReport(readiness, last_failures, metrics, sources, circuits),
        )

    def exposition(self) -> bytes:
        """Return the Prometheus text."""
        loaded = {one.name: one.loaded for one in self.stt.components() if one.name != "audio"}
        circuits = {one.target: one.state != "closed" for one in self.report.circuits()}
        probe = self.agent_probe
        known = probe.now.state != "unknown"
        agents = {probe.url: probe.now.state == "ok"} if known else {}
        ready = self.readiness.reason is None
        return self.metrics.exposition(
            self.admission,
            loaded,
            circuits,
            agents,
            self.jobs.backlog,
            self.repairer.waiting,
            ready=ready,
        )

    async def stop(self) -> None:
        """Have every call in hand answered now, with what there is."""
        self.readiness.end()
        self.agent.stop()
        await anyio.to_thread.run_sync(self.text.stop)
        await anyio.to_thread.run_sync(self.stt.stop)

    async def aclose(self) -> None:
        """End child processes and connections."""
        self.readiness.end()
        self.stt.close()
        self.text.close()
        self.desk.close()
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


def _in_force(settings: dict[str, str], validator: LiveValidator) -> Callable[[], InForce]:
    """Return a function to what answers are made by; the same object while that is the same."""
    known: tuple[Rubric, InForce] | None = None

    def in_force() -> InForce:
        nonlocal known
        rubric = validator.rubric
        if known is None or known[0] is not rubric:
            said = {"version": rubric.version, "content": rubric.model_dump_json()}
            known = rubric, (settings, said)
        return known[1]

    return in_force


def _trust_in(url: str, agent: AgentBackend, probe: AgentProbe) -> Trust:
    """Return what the probe and the circuit of an agent know of it."""
    if redact_url(url) == probe.url and probe.probes and probe.now.state == "failing":
        return "away"
    circuit = agent.circuit_of(url)
    if circuit is None or circuit.state == "closed":
        return "works"
    return "away" if circuit.retry_after else "doubted"


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
        diarization=settings.diarization,
        voices_path=find_model(MODEL, settings.stt_home),
        preload=False,
    )


def _agent(settings: Settings, observers: tuple[Observer, ...]) -> AgentBackend:
    key = settings.agent_api_key
    return AgentBackend(
        observers=observers,
        circuit_policy=replace(_circuit_policy(settings), probe_sec=settings.agent_timeout_sec),
        model=settings.agent_model,
        api_key=key.get_secret_value() if key else None,
        may_have_key=settings.is_llm_server,
        connect_timeout_sec=settings.agent_connect_timeout_sec,
        patience_sec=settings.agent_timeout_sec,
    )


def _readiness(settings: Settings, observers: tuple[Observer, ...], stt: WhisperSTT) -> Readiness:
    return Readiness(
        stt,
        settings.ready_canary_text,
        settings.ready_interval_sec,
        settings.ready_proof_sec,
        observers,
    )


def _agent_probe(settings: Settings, observers: tuple[Observer, ...]) -> AgentProbe:
    return AgentProbe(
        settings.agent_url,
        settings.agent_proof_sec,
        settings.agent_proof_timeout_sec,
        observers,
        wanted="vllm_api_url" in settings.model_fields_set,
    )


def _text(settings: Settings, observers: tuple[Observer, ...], rubric: Rubric) -> TextInChild:
    options = TextOptions(
        rubric,
        mask=settings.redaction != "off",
        mask_evidence=settings.redaction == "everywhere",
        chunk_chars=settings.agent_chunk_chars,
        max_elements=elements_that_fit(settings.agent_max_tokens),
        min_precision=settings.check_min_precision,
        max_chars=settings.analyze_max_chars,
        max_segments=settings.analyze_max_segments,
    )
    bounds = WorkerLimits(settings.stt_stall_timeout_sec, settings.text_worker_memory_mb)
    return TextInChild(options, observers, bounds)


def _review_limits(settings: Settings) -> ReviewLimits:
    return ReviewLimits(
        settings.agent_max_tokens,
        settings.agent_chunk_chars,
        settings.agent_chunks_at_once,
    )
