"""The keys in force: those of the settings, and those of a file that may change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from api_server.settings import Settings
from api_server.settings.keys import PLAIN_ROLES, KeysInvalid, NamedKey, distinct, parse_file
from stt_engine.events import Event, Observer, emit

_LOOK_SEC = 1.0
"""How often it is looked whether the file has changed."""

_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysLoaded(Event):
    """The file of keys changed, and its keys are in force."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysRefused(Event):
    """The file of keys changed and cannot be used; the keys from before stay in force."""

    reason: str


class KeyRing:
    """The keys in force.

    Raises:
        KeysInvalid: the file of keys cannot be used, or two keys have one name.
    """

    def __init__(self, settings: Settings, observers: Iterable[Observer] = ()) -> None:
        self._fixed = _keys_of(settings)
        self._file = settings.api_keys_file
        self._observers = tuple(observers)
        self._seen = _stamp(self._file)
        self.keys: tuple[NamedKey, ...] = self._read()

    @property
    def required(self) -> bool:
        """True where callers need a key."""
        return bool(self.keys)

    def refresh(self) -> None:
        """Read the file again if it has changed; one that cannot be used changes nothing."""
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self.keys = self._read()
        except KeysInvalid as exc:
            emit(self._observers, KeysRefused(reason=str(exc)))
        else:
            emit(self._observers, KeysLoaded(names=tuple(one.name for one in self.keys)))

    async def watch(self) -> None:
        """Refresh for as long as the server runs."""
        while self._file is not None:
            await anyio.sleep(_LOOK_SEC)
            await anyio.to_thread.run_sync(self.refresh, abandon_on_cancel=True)

    def _read(self) -> tuple[NamedKey, ...]:
        if self._file is None:
            return distinct(self._fixed)
        try:
            with self._file.open("rb") as file:
                content = file.read(_MOST_BYTES).decode()
        except OSError as exc:
            raise KeysInvalid(f"API_KEYS_FILE: {self._file}: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise KeysInvalid(f"API_KEYS_FILE: {self._file}: no UTF-8") from exc
        try:
            return distinct([*self._fixed, *parse_file(content)])
        except KeysInvalid as exc:
            raise KeysInvalid(f"API_KEYS_FILE: {self._file}: {exc}") from exc


def _keys_of(settings: Settings) -> list[NamedKey]:
    secrets = dict.fromkeys(one.get_secret_value() for one in settings.api_keys)
    plain = [NamedKey(f"API_KEYS[{n}]", PLAIN_ROLES, one) for n, one in enumerate(secrets, 1)]
    return [*plain, *settings.named_keys()]


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """Return what changes when a file is written anew or replaced."""
    try:
        told = path.stat() if path else None
    except OSError:
        return None
    return (told.st_mtime_ns, told.st_size, told.st_ino) if told else None
