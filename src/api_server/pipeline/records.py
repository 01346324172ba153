"""How the records of calls are kept, by the settings: days, keys, and where the proof is."""

from __future__ import annotations

import math

from api_server.pipeline.render.cases import wordless_findings
from api_server.settings import Settings
from api_server.settings.retention import parse_rule
from api_server.store.recordings import DAY_SEC, RecordingFolder
from api_server.store.records import ProofFiles, Retention, TagRule
from api_server.store.sealed import SealingKeys
from stt_engine.model_store.places import data_home


def retention_of(settings: Settings) -> Retention:
    """Return how long what is kept."""
    return Retention(
        max(settings.retention_recordings_days * DAY_SEC, settings.review_keep_sec()),
        _seconds(settings.retention_transcripts_days),
        _seconds(settings.retention_results_days),
        wordless_findings,
        tuple(_rule(settings, one) for one in settings.retention_rules),
    )


def _rule(settings: Settings, rule: str) -> TagRule:
    tag, value, days = parse_rule(rule)
    seconds = {name: count * DAY_SEC for name, count in days.items()}
    recordings = seconds.get("recordings")
    return TagRule(
        "product" if tag == "product" else "rubric",
        value,
        None if recordings is None else max(recordings, settings.review_keep_sec()),
        seconds.get("transcripts"),
        seconds.get("results"),
    )


def proof_of(settings: Settings) -> ProofFiles:
    """Return where the log is signed."""
    database = settings.database_file(data_home(settings.stt_home))
    return ProofFiles(*settings.proof_files(database))


def keys_of(settings: Settings) -> SealingKeys | None:
    """Return the keys of recordings; ``None`` where they are not encrypted.

    Raises:
        KeyMissing: the file of keys cannot be used.
    """
    path = settings.recordings_key_file
    return SealingKeys.from_file(path) if path is not None else None


def recordings_of(settings: Settings) -> RecordingFolder:
    """Return where recordings are kept.

    Raises:
        KeyMissing: the file of keys cannot be used.
    """
    folder = RecordingFolder(
        settings.recordings_folder(data_home(settings.stt_home)),
        settings.recordings_max_bytes,
        settings.recordings_reserve_bytes,
        settings.recordings_keep_days * DAY_SEC,
        keys_of(settings),
    )
    url = settings.recordings_objects_url
    if url is None:
        return folder
    from api_server.store.recording_objects import RecordingObjects  # noqa: PLC0415 - few need it

    return RecordingObjects(url, folder)


def _seconds(days: float | None) -> float:
    return math.inf if days is None else days * DAY_SEC
