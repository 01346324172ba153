"""What a call may bring, how long it may wait, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from api_server.settings.base import CommaSeparated, Section


class CallLimitSettings(Section):
    """Recordings, limits of requests, the queue."""

    heading: ClassVar[str] = "Recordings, limits, queue"

    audio_roots: CommaSeparated[Path] = Field([Path("audio")])
    """Folders that `file_path` may point into, comma-separated (links are followed first)."""

    audio_open_timeout_sec: float = Field(10.0, gt=0)
    """Time that a folder of AUDIO_ROOTS has to open a recording; one that does not answer (a dead
    mount) is refused with 503."""

    audio_max_bytes: int = Field(2 * 1024**3, gt=0)
    """Largest recording in bytes."""

    audio_max_duration_sec: float = Field(4 * 3600.0, gt=0)
    """Longest recording in seconds."""

    audio_max_tracks: int = Field(8, ge=1)
    """Audio tracks that one recording may have; one with more is refused."""

    audio_max_channels: int = Field(16, ge=1)
    """Channels that one recording may have, those of all its tracks together."""

    audio_min_heard_share: float = Field(0.5, ge=0, le=1)
    """Share of a damaged recording that has to be decodable; one with less is refused."""

    analyze_max_bytes: int = Field(10 * 1024**2, gt=0)
    """Largest body of POST /analyze in bytes."""

    analyze_max_chars: int = Field(500_000, ge=1)
    """Longest transcript of POST /analyze in characters (a two-hour call has some 80,000)."""

    analyze_max_segments: int = Field(20_000, ge=1)
    """Most turns of a transcript of POST /analyze (a two-hour call has some 3,000)."""

    analyze_max_at_once: int = Field(64, ge=1)
    """Transcripts that are checked at once by POST /analyze; one more is refused with 429 and
    `Retry-After`."""

    text_worker_memory_mb: int = Field(1024, ge=512)
    """Ceiling in MiB on the address space of the process that works on callers' text. It has 10
    seconds, and one more for every 5,000 characters."""

    queue_max_waiting: int = Field(64, ge=0)
    """Calls that may wait for recognition; one more is refused with 429 and `Retry-After`."""

    queue_max_wait_sec: float = Field(600.0, gt=0)
    """Longest forecast wait (audio in the queue x measured real-time factor) with which a call is
    admitted; a longer one is refused with 429 and `Retry-After`. An admitted call that waits longer
    all the same ends as `CallExpired`."""

    stop_grace_sec: float = Field(30.0, ge=0)
    """Time that calls in progress have to finish after SIGTERM or Ctrl-C; those that have not are
    then answered with what there is."""

    strict: bool = False
    """Answer a degraded call with HTTP 503 (same body) unless the form field says otherwise."""
