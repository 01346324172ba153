"""The enrolled voices, as the calls of one server are compared with them."""

from __future__ import annotations

from api_server.jobs.desk import JobDesk, NoStoreYet
from stt_engine.recognition.diarisation import MODEL
from stt_engine.speech import KnownVoice


class EnrolledVoices:
    """Returns the voices of agents for a call, and has the log say so before.

    Args:
        desk: the way to the store.
    """

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk

    async def __call__(self, call: str) -> tuple[KnownVoice, ...]:
        """Return the voices that the call of this id is compared with; none without a store.

        Raises:
            StoreUnavailable: they cannot be read, or the log cannot be written.
        """
        try:
            found = await self._desk.run(lambda store: store.voices.compared(call, MODEL))
        except NoStoreYet:
            return ()
        return tuple(KnownVoice(one.name, one.embedding, is_agent=True) for one in found)
