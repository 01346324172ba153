"""Everything about jobs that one server holds, wired by its settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from api_server.clients.syslog import TlsFiles
from api_server.clients.webhooks import WebhookClient
from api_server.jobs.call_keeper import CallKeeper
from api_server.jobs.checkpoints import CheckpointSender
from api_server.jobs.clock_watch import ClockWatch
from api_server.jobs.desk import JobDesk, Records
from api_server.jobs.endings import RepairTerms
from api_server.jobs.options import JobOptions
from api_server.jobs.repairer import Dependencies, Repairer
from api_server.jobs.rests import Rests
from api_server.jobs.role_swap import RoleSwap
from api_server.jobs.runner import JobRunner, JobTerms
from api_server.jobs.store_probe import StoreProbe
from api_server.jobs.watcher import FolderWatcher, WatchTerms
from api_server.jobs.webhooks import WebhookSender
from api_server.pipeline.analysis import AgentConfig, CallAnalysis
from api_server.pipeline.model_names import ModelNames
from api_server.pipeline.records import recordings_of
from api_server.pipeline.storage import Place
from api_server.settings import Settings
from api_server.store.recordings import DAY_SEC
from stt_engine.events import Observer
from stt_engine.model_store.places import data_home


@dataclass(frozen=True, slots=True)
class JobParts:
    """The parts; none of them opens the store before it is needed."""

    desk: JobDesk
    runner: JobRunner
    calls: CallKeeper
    repairer: Repairer
    roles: RoleSwap
    webhooks: WebhookSender
    watchers: tuple[FolderWatcher, ...]
    store_probe: StoreProbe
    clock: ClockWatch

    @classmethod
    def of(
        cls,
        settings: Settings,
        desk: JobDesk,
        analysis: CallAnalysis,
        models: ModelNames,
        uploads: Place,
        known: Dependencies,
        rests: Rests,
        observers: Iterable[Observer],
    ) -> JobParts:
        """Wire them; ``uploads`` are the threads that write recordings."""
        observers = tuple(observers)
        repair = _repair_terms(settings, models)
        secrets = [one.get_secret_value() for one in settings.webhook_secrets]
        client = WebhookClient(
            secrets, settings.webhook_timeout_sec, networks=settings.webhook_allowed_networks
        )
        kept_at = settings.audit_checkpoints_url
        files = TlsFiles(settings.audit_syslog_ca_file, settings.audit_syslog_cert_file)
        runner = JobRunner(
            desk,
            analysis,
            _job_terms(settings, repair),
            known.recogniser_works,
            observers,
            CheckpointSender.of(kept_at, client, observers, files) if kept_at else None,
        )
        watch = _watch_terms(settings)
        return cls(
            desk=desk,
            runner=runner,
            calls=CallKeeper(desk, uploads, repair, observers),
            repairer=Repairer(desk, analysis, repair, known, rests, observers),
            roles=RoleSwap(analysis, repair, _agent(settings)),
            webhooks=WebhookSender(desk, client, settings.allows_webhook, observers),
            watchers=tuple(
                FolderWatcher(number, folder, desk, watch, runner.wake, observers)
                for number, folder in enumerate(settings.watch_folders, 1)
            ),
            clock=ClockWatch(observers),
            store_probe=StoreProbe(
                desk, observers, elsewhere=settings.recordings_objects_url is not None
            ),
        )


def desk_of(settings: Settings, records: Records, observers: tuple[Observer, ...]) -> JobDesk:
    """Return the way to the store, which is opened when it is needed first."""
    database = settings.database(data_home(settings.stt_home))
    return JobDesk(database, recordings_of(settings), observers, records)


def _job_terms(settings: Settings, repair: RepairTerms) -> JobTerms:
    return JobTerms(
        settings.jobs_at_once,
        settings.jobs_lease_sec,
        settings.jobs_max_tries,
        settings.stt_agent_channel,
        settings.allows_agent,
        repair,
        settings.audit_checkpoint_sec,
    )


def _repair_terms(settings: Settings, models: ModelNames) -> RepairTerms:
    return RepairTerms(
        settings.repair_keep_days * DAY_SEC,
        settings.repair_max_bytes,
        settings.repair_at_once,
        settings.jobs_lease_sec,
        settings.repair_calls,
        settings.stt_agent_channel,
        settings.agent_timeout_sec,
        settings.allows_agent,
        models.folder,
    )


def _agent(settings: Settings) -> AgentConfig:
    return AgentConfig(settings.agent_url, timeout_sec=settings.agent_timeout_sec)


def _watch_terms(settings: Settings) -> WatchTerms:
    return WatchTerms(
        settings.watch_pattern,
        settings.watch_settle_sec,
        settings.watch_interval_sec,
        JobOptions(
            settings.watch_language, agent=_agent(settings) if settings.watch_check else None
        ),
        settings.redaction != "off",
        settings.watch_table,
        settings.watch_sidecar_sec,
    )
