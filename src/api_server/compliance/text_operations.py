"""The child's side of :mod:`.text_worker`."""

from __future__ import annotations

import time
from collections.abc import Generator
from functools import lru_cache

from api_server.compliance.deterministic import DeterministicTier
from api_server.compliance.findings import RuleFinding
from api_server.compliance.request_body import read_body
from api_server.compliance.text_tasks import CallSegments, PreparedCall, TextTasks, opened
from api_server.compliance.text_worker import EXAMINE, OPTIONS, READ, READS, TASKS, TextOptions
from api_server.pii.redaction import redact
from stt_engine.protocol import OnShared, Operations, TextJob, TextResult, TextStep, TextSteps

_TURN_SEC = 0.1
_PART: TextStep = {"kind": "text_part"}


def operations(_on_shared: OnShared) -> Operations:
    """Return what this process can do."""
    return {"text": _do}


def _do(job: TextJob) -> TextSteps:
    if job["task"] == READ:
        return _result(_read(job))
    tasks, rules = _tasks(job["options"])
    task = TASKS[job["task"]]
    given = task.takes.validate_json(job["data"])
    if task is EXAMINE:
        found = yield from _examined(rules, opened(given).shown)
    else:
        found = getattr(tasks, task.name)(given)
    if isinstance(found, PreparedCall):
        found = found.closed()
    return _result(task.gives.dump_json(found))


def _read(job: TextJob) -> bytes:
    limits = _options(job["options"])
    return READS.dump_json(read_body(job["data"], limits.max_chars, limits.max_segments))


def _examined(
    rules: DeterministicTier, segments: CallSegments
) -> Generator[TextStep, None, dict[str, RuleFinding]]:
    """Examine a call element by element, so that a short one need not wait for all of it."""
    found: dict[str, RuleFinding] = {}
    since = time.monotonic()
    for name, finding in rules.examine_each(segments):
        found[name] = finding
        if time.monotonic() - since > _TURN_SEC:
            yield _PART
            since = time.monotonic()
    return found


def _result(data: bytes) -> TextResult:
    return {"kind": "text_done", "data": data}


@lru_cache(maxsize=4)
def _options(options: bytes) -> TextOptions:
    return OPTIONS.validate_json(options)


@lru_cache(maxsize=4)
def _tasks(options: bytes) -> tuple[TextTasks, DeterministicTier]:
    known = _options(options)
    rules = DeterministicTier(known.rubric, known.min_precision)
    tasks = TextTasks(
        known.rubric,
        rules,
        redact if known.mask else None,
        mask_evidence=known.mask_evidence,
        chunk_chars=known.chunk_chars,
        max_elements=known.max_elements,
    )
    return tasks, rules
