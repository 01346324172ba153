"""A request for a job, whichever way it comes: what describes it, and what makes two the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from api_server.jobs.options import JobOptions
from api_server.store.records import NewCase
from api_server.text.strict_json import parse_strictly
from stt_engine.errors import InvalidRequest

LONGEST_METADATA = 16 * 1024
"""Bytes of a job's metadata."""


def read_metadata(given: str) -> str:
    """Return a job's metadata as it is stored.

    Raises:
        InvalidRequest: it is no JSON object, or too long.
    """
    try:
        parsed = parse_strictly(given)
        stored = json.dumps(parsed, ensure_ascii=False, allow_nan=False)
        size = len(stored.encode())
    except UnicodeEncodeError as exc:
        raise InvalidRequest("metadata: half a character (a lone surrogate)") from exc
    except ValueError as exc:
        raise InvalidRequest(f"metadata: {exc}") from exc
    if size > LONGEST_METADATA:
        raise InvalidRequest(f"metadata: at most {LONGEST_METADATA} bytes")
    if not isinstance(parsed, dict):
        raise InvalidRequest("metadata: give a JSON object")
    return stored


def digest(
    options: JobOptions,
    metadata: str,
    priority: int,
    inputs: Sequence[str | NewCase | None],
    webhook_url: str | None = None,
) -> str:
    """Return the hash of what is asked for: the same is asked by the same idempotency key."""
    named = [_identity(one) if isinstance(one, NewCase) else one for one in inputs]
    asked = [options.to_json(), metadata, priority, named]
    if webhook_url:  # a key of before there were webhooks stands for the same request
        asked.append(webhook_url)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _identity(case: NewCase) -> list[str | None]:
    return [case.name, case.path, case.received.sha256 if case.received else None]
