"""The answer of ``/health``, made of what was wired: never of a list kept by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from api_server.clients.circuit_breaker import CircuitBreakers
from api_server.clients.circuit_policy import CircuitSnapshot
from api_server.compliance.text_worker import TextInChild
from api_server.jobs.parts import JobParts
from api_server.jobs.trouble import Trouble
from api_server.models import HealthResponse
from api_server.observability.agent_probe import AgentProbe
from api_server.observability.metrics import FailureMetrics
from api_server.observability.readiness import LastFailures, Readiness
from api_server.pipeline.admission import Admission
from api_server.pipeline.check_admission import CheckAdmission
from api_server.pipeline.storage import Place, Storage
from stt_engine.engine import WhisperSTT
from stt_engine.version import __version__


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """One wired part as ``/health`` shows it; ``degraded``: the server is, because of it."""

    facts: Mapping[str, object]
    degraded: bool = False


HealthSource = Callable[[], Iterable[ComponentHealth]]
"""Returns the state of a part now; never waits."""


class HealthReport:
    """Asks every wired part for its state.

    Args:
        readiness: whether a known clip was recognised lately.
        last_failures: the latest failures.
        metrics: counts and rates.
        sources: the wired parts, in the order in which they are shown.
        circuits: the circuit breakers of each client that has some.
    """

    def __init__(
        self,
        readiness: Readiness,
        last_failures: LastFailures,
        metrics: FailureMetrics,
        sources: Sequence[HealthSource],
        circuits: Sequence[CircuitBreakers],
    ) -> None:
        self._readiness = readiness
        self._last_failures = last_failures
        self._metrics = metrics
        self._sources = tuple(sources)
        self._circuits = tuple(circuits)

    def response(self) -> HealthResponse:
        """Return the state of every wired part; waits for nothing."""
        ready = self._readiness.reason is None
        parts = [part for source in self._sources for part in source()]
        circuits = self.circuits()
        broken = any(part.degraded for part in parts) or any(map(_is_broken, circuits))
        return HealthResponse(
            status="healthy" if ready and not broken else "degraded",
            ready=ready,
            version=__version__,
            components=[dict(part.facts) for part in parts],
            circuits=[_circuit(one) for one in circuits],
            last_failures=self._last_failures.failures(),
            metrics=self._metrics.rates(),
        )

    def circuits(self) -> list[CircuitSnapshot]:
        """Return the state of every circuit breaker."""
        return [snapshot for breakers in self._circuits for snapshot in breakers.snapshots()]


def engine_health(stt: WhisperSTT) -> HealthSource:
    """Return the state of every process of the engine, those of other models last."""
    return lambda: [ComponentHealth(asdict(one)) for one in (*stt.components(), *stt.others())]


def agent_health(probe: AgentProbe) -> HealthSource:
    """Return the state of the LLM server; one that is known to fail degrades this server."""
    return lambda: [
        ComponentHealth(
            {"name": "agent", "url": probe.url, **asdict(probe.now)}, probe.now.state == "failing"
        )
    ]


def text_health(text: TextInChild, checks: CheckAdmission) -> HealthSource:
    """Return the state of the process that works on callers' text, and of those who use it."""
    return lambda: [
        ComponentHealth(
            {
                "name": "text",
                "state": text.worker.state,
                "pid": text.worker.pid,
                "checks": checks.inside,
            }
        )
    ]


def storage_health(storage: Storage) -> HealthSource:
    """Return the state of every place from which recordings come; one that hangs degrades."""
    return lambda: [
        ComponentHealth(
            {"name": one.name, "state": one.state, "waiting": one.waiting, "late": one.late},
            one.state != "ok",
        )
        for one in storage.places
    ]


def queue_health(admission: Admission) -> HealthSource:
    """Return the state of the queue. Sound in seconds."""
    return lambda: [
        ComponentHealth(
            {
                "name": "queue",
                "state": "ok",
                "waiting": admission.waiting,
                "audio_sec": round(admission.work_waiting_sec, 1),
                "realtime_factor": round(admission.factor, 3),
            }
        )
    ]


def jobs_health(parts: JobParts) -> HealthSource:
    """Return the state of jobs; a store that cannot be used degrades, and one never used is idle.

    ``queued`` and ``running`` are cases, ``at_work`` those of this process, ``repairs`` answers
    that wait for what they lack.
    """

    def look() -> list[ComponentHealth]:
        desk, jobs = parts.desk, parts.runner
        trouble, backlog = desk.trouble.reason, jobs.backlog
        working = "ok" if desk.is_open else "idle"
        facts = {
            "name": "jobs",
            "state": "failing" if trouble else working,
            "reason": trouble,
            "queued": backlog.queued if backlog else 0,
            "running": backlog.running if backlog else 0,
            "at_work": jobs.at_work,
            "repairs": parts.repairer.waiting or 0,
        }
        return [ComponentHealth(facts, trouble is not None)]

    return look


def store_health(parts: JobParts) -> HealthSource:
    """Return the state of what jobs depend on: database, recordings, watched folders."""

    def look() -> list[ComponentHealth]:
        desk, recordings = parts.desk, parts.store_probe
        database = "ok" if desk.is_open else "idle"
        return [
            _dependency("database", desk.place, desk.trouble, database, kind=desk.kind),
            _dependency("recordings", recordings.place, recordings.trouble, recordings.state),
            *(
                _dependency(one.place.name, one.place, one.trouble, "ok", unreadable=one.unreadable)
                for one in parts.watchers
            ),
        ]

    return look


def _dependency(
    name: str, place: Place, trouble: Trouble, well: str, **facts: object
) -> ComponentHealth:
    """Return the state of a part; it is degraded as soon as an answer is late."""
    state = well if place.state == "ok" else place.state
    told = {
        "name": name,
        **facts,
        "state": "failing" if trouble.reason else state,
        "reason": trouble.reason,
        "since": trouble.since,
        "waiting": place.waiting,
        "late": place.late,
    }
    return ComponentHealth(told, trouble.reason is not None or place.state != "ok")


def _is_broken(snapshot: CircuitSnapshot) -> bool:
    return snapshot.state != "closed"


def _circuit(snapshot: CircuitSnapshot) -> dict[str, object]:
    return {
        "target": snapshot.target,
        "state": snapshot.state,
        "failures": snapshot.failures,
        "retry_after": snapshot.retry_after,
        "transitions": dict(snapshot.transitions),
        "refusals": snapshot.refusals,
    }
