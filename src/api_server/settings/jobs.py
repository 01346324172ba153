"""Where jobs and cases are kept, and how many there may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator

from api_server.settings.base import CommaSeparated, EmptyIsNone, Section

_SQLITE, _POSTGRES = "sqlite:///", "postgresql://"
_FILE, _S3 = "file://", "s3://"


class JobSettings(Section):
    """Jobs, cases, and their recordings."""

    heading: ClassVar[str] = "Jobs and cases"

    database_url: EmptyIsNone[SecretStr] = None
    """The database of jobs and cases: `sqlite:///PATH` (four slashes before an absolute path), made
    with the first job, or for many machines `postgresql://USER:PASSWORD@HOST/NAME`. Unset:
    `cases.db` in STT_HOME, or in the user's folder for data."""

    recordings_dir: EmptyIsNone[Path] = None
    """Folder of the recordings that jobs have brought, by content hash. Unset: `recordings` beside
    the database's file, with PostgreSQL in STT_HOME; all machines need the same one."""

    recordings_url: EmptyIsNone[str] = None
    """Where recordings are instead: `s3://BUCKET/PREFIX` of an object store that speaks S3, with
    `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and the like in the environment; or `file:///PATH`. One
    for each database. RECORDINGS_DIR is then where uploads wait until they are there."""

    recordings_max_bytes: int = Field(50 * 1024**3, gt=0)
    """Quota of all recordings that are kept, in bytes; a job that would pass it is refused with
    507."""

    recordings_reserve_bytes: int = Field(1024**3, ge=0)
    """Free space in bytes that recordings leave on their disk; a job that would touch it is refused
    with 507."""

    recordings_keep_days: float = Field(30.0, ge=0)
    """Days that the recordings of failed and cancelled cases are kept for another try; all others
    go as soon as their cases have ended."""

    jobs_at_once: int = Field(8, ge=0, le=64)
    """Cases of jobs that are worked on at once, while no other call wants the recogniser. 0: none
    are (`serve --no-work`); workers do them."""

    jobs_max_bytes: int = Field(20 * 1024**3, gt=0)
    """Largest body of POST /jobs in bytes, all recordings together."""

    jobs_max_cases: int = Field(10_000, ge=1)
    """Most recordings of one job."""

    jobs_max_tries: int = Field(5, ge=1)
    """Tries that a case has where this machine fails or a server disappears over it; then it ends
    as `failed`."""

    jobs_lease_sec: float = Field(30.0, ge=1)
    """Time after which a case whose server has disappeared is taken up again."""

    repair_keep_days: float = Field(7.0, ge=0)
    """Days in which the missing stage of a degraded answer is completed once its dependency is
    back; then it is given up. 0: nothing is."""

    repair_calls: bool = False
    """Keep degraded answers of POST /transcribe too, with their recordings, and complete them:
    each becomes a case. Personal data of calls is then on this machine's disk."""

    repair_max_bytes: int = Field(10 * 1024**3, ge=0)
    """Bytes of all recordings that are kept for repairs. Beyond it, a check is still completed,
    and a recognition is not (`off`)."""

    repair_at_once: int = Field(2, ge=0, le=64)
    """Repairs that are worked on at once, while no other call wants the recogniser. 0: none are."""

    watch_folders: CommaSeparated[Path] = Field([])
    """Folders below AUDIO_ROOTS, comma-separated; each file in them, and in folders in them,
    becomes a case once. Nothing is moved or deleted."""

    watch_pattern: str = "*"
    """Names of the files that are taken, as `*.wav`, in small or capital letters. Never taken:
    hidden files, `.json`, `.csv`, `.tmp`, `.part`, links."""

    watch_table: EmptyIsNone[str] = None
    """Name of a CSV file in the folder of a recording, with a row of metadata for each: its first
    column has the names of the files. Unset: there is none."""

    watch_settle_sec: float = Field(10.0, ge=0)
    """Time that a file, and what stands beside it, has to stay as it is before it is taken."""

    watch_sidecar_sec: float = Field(0.0, ge=0)
    """How long a file waits for its metadata (a sidecar, or its row in WATCH_TABLE); then it is
    taken without. Set it where the recorder writes them after the recording."""

    watch_interval_sec: float = Field(5.0, gt=0)
    """How often the folders are looked at."""

    watch_language: str = "ko"
    """Language of their recordings: a code, or `auto`."""

    watch_check: bool = False
    """Check them for elements of an incomplete sale too, with the LLM server."""

    @field_validator("recordings_url")
    @classmethod
    def _is_file_or_s3(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"s3://[^/]+(/.*)?|file:///.+", value):
            raise ValueError("give s3://BUCKET/PREFIX or file:///PATH")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        if not url.startswith((_SQLITE, _POSTGRES)):
            raise ValueError(f"give {_SQLITE}PATH or {_POSTGRES}USER:PASSWORD@HOST/NAME")
        if url.startswith(_SQLITE) and not url.removeprefix(_SQLITE).strip("/"):
            raise ValueError(f"{_SQLITE}PATH names no file")
        if url.startswith(_POSTGRES):
            _check_parts(url)
        return value

    def database(self, home: Path) -> Path | str:
        """Return the database's file, or the URL of its server; ``home``: the folder for data."""
        url = self._url()
        return url if url.startswith(_POSTGRES) else self.database_file(home)

    def database_file(self, home: Path) -> Path:
        """Return the file beside which the rest lies; with a server, one that is never made.

        ``home`` is the folder for data.
        """
        url = self._url()
        if not url.startswith(_SQLITE):
            return home / "cases.db"
        return Path(url.removeprefix(_SQLITE)).expanduser()

    def _url(self) -> str:
        return self.database_url.get_secret_value() if self.database_url else ""

    def recordings_folder(self, home: Path) -> Path:
        """Return the folder of recordings; ``home`` is the folder for data."""
        if self.recordings_url is not None and self.recordings_url.startswith(_FILE):
            return Path(unquote(self.recordings_url.removeprefix(_FILE)))
        return self.recordings_dir or self.database_file(home).parent / "recordings"

    @property
    def recordings_objects_url(self) -> str | None:
        """The object store of the recordings, where there is one."""
        url = self.recordings_url
        return url if url is not None and url.startswith(_S3) else None


def _check_parts(url: str) -> None:
    try:
        parts = urlsplit(url)
        named = parts.port is None or parts.port > 0
    except ValueError:
        named = False
    if not named or not parts.path.strip("/"):
        raise ValueError(f"give {_POSTGRES}USER:PASSWORD@HOST:PORT/NAME")
