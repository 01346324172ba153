"""What can go wrong with the store."""

from __future__ import annotations

from stt_engine.errors import EngineError


class StoreUnavailable(EngineError):
    """The database cannot be used now: gone, locked, damaged, or of a newer version."""

    writing = False
    """True where it could not be written to: that it can be read says nothing against it."""


class RecordingsUnreachable(StoreUnavailable):
    """The object store of the recordings gives no answer, or refuses; they may all be there."""


class StoreFull(EngineError):
    """There is no room for more recordings: the quota, or the reserve of free space."""


class NoSuchJob(EngineError):
    """There is no job of this id, or it is another caller's."""


class NoSuchCase(EngineError):
    """There is no case of this id, or it is another caller's."""


class KeyReused(EngineError):
    """The idempotency key stands for another request already."""


class NoSuchWebhook(EngineError):
    """There is no webhook of this id that could be sent again."""


class CaseHeld(EngineError):
    """The case is held: nothing of it may be removed until it is released."""


class LogBroken(EngineError):
    """The audit log is not the one that was signed before: no checkpoint of it is made."""


class KeyMissing(EngineError):
    """A recording, or the log, needs a key that is not there, or that cannot be used."""


class DecisionRefused(EngineError):
    """A decision that may not be added; ``code`` says why, for whoever words it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoSuchVoice(EngineError):
    """No voice of this name is enrolled."""


class VoiceExists(EngineError):
    """The voice of somebody of this name is enrolled already."""


class NoSuchUser(EngineError):
    """There is no account of this name."""


class UserExists(EngineError):
    """There is an account of this name already."""
