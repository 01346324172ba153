"""Voices of agents that were enrolled: biometric data, encrypted or not stored at all.

Each method is one transaction, and whatever it does is an entry of the log. A name is in no entry.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select

from api_server.store import audit_log
from api_server.store.database import StorePart
from api_server.store.errors import KeyMissing, NoSuchVoice, VoiceExists
from api_server.store.records import VoiceRecord
from api_server.store.schema import KNOWN_VOICES
from api_server.store.sealed_text import keys_of


class KnownVoices(StorePart):
    """The enrolled voices."""

    def enrol(
        self, name: str, embedding: Sequence[float], seconds: float, model: str, actor: str
    ) -> VoiceRecord:
        """Store a voice.

        Raises:
            KeyMissing: the store has no keys: nothing would be encrypted.
            VoiceExists: there is one of this name; erase it first.
        """
        with self._database.read() as connection:
            encrypts = keys_of(connection.dialect) is not None
        if not encrypts:
            raise KeyMissing("a voice is stored encrypted or not at all: RECORDINGS_KEY_FILE")
        now = self._clock()
        new = VoiceRecord(uuid4().hex, name, model, seconds, now, tuple(embedding))
        with self._database.write() as connection:
            if any(one.name == name for one in _all(connection)):
                raise VoiceExists(f"the voice of '{name}' is enrolled already; erase it first")
            connection.execute(
                insert(KNOWN_VOICES).values(
                    id=new.id,
                    name=name,
                    embedding=json.dumps(list(new.embedding)),
                    model=model,
                    seconds=seconds,
                    enrolled_at=now,
                )
            )
            facts = {"what": "enrolled", "seconds": round(seconds, 1), "model": model}
            audit_log.record(connection, now, "voice", new.id, actor=actor, facts=facts)
        return new

    def list(self) -> list[VoiceRecord]:
        """Return every voice, by name."""
        with self._database.read() as connection:
            return sorted(_all(connection), key=lambda one: one.name)

    def compared(self, call: str, model: str) -> Sequence[VoiceRecord]:
        """Return the voices that a call is to be compared with; the log has that before."""
        with self._database.write() as connection:
            found = [one for one in _all(connection) if one.model == model]
            if found:
                facts = {"what": "compared", "call": call, "voices": [one.id for one in found]}
                audit_log.record(connection, self._clock(), "voice", facts=facts)
        return found

    def erase(self, wanted: str, actor: str) -> VoiceRecord:
        """Delete the voice of this id, or of this name, and return what it was.

        Raises:
            NoSuchVoice: there is none.
        """
        with self._database.write() as connection:
            found = [one for one in _all(connection) if wanted in {one.id, one.name}]
            if not found:
                raise NoSuchVoice(f"no voice of '{wanted}' is enrolled")
            (gone, *_) = found
            connection.execute(delete(KNOWN_VOICES).where(KNOWN_VOICES.c.id == gone.id))
            audit_log.record(
                connection, self._clock(), "voice", gone.id, actor=actor, facts={"what": "erased"}
            )
        self._database.flush()
        return gone


def _all(connection: Connection) -> list[VoiceRecord]:
    return [
        VoiceRecord(
            row.id,
            row.name,
            row.model,
            row.seconds,
            row.enrolled_at,
            tuple(json.loads(row.embedding)),
        )
        for row in connection.execute(select(KNOWN_VOICES))
    ]
