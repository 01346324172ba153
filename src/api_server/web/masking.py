"""The words of a call as the page shows them: masked, whatever the answer has."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from api_server.compliance.text_worker import TextInChild
from api_server.pii.redaction import RedactionFailed
from api_server.pipeline.result import CallResult
from stt_engine.speech import Segment

_KEPT_CHARS = 4_000_000


class MaskedCalls:
    """Masks calls, and remembers the ones that were looked at last.

    Args:
        text: the process that works on texts.
    """

    def __init__(self, text: TextInChild) -> None:
        self._text = text
        self._known: OrderedDict[tuple[int, int], tuple[Segment, ...]] = OrderedDict()
        self._chars = 0

    async def segments(self, case: int, result: CallResult) -> tuple[Segment, ...]:
        """Return the segments of a case's answer, masked.

        Raises:
            EngineError: they cannot be masked, and must not be shown.
        """
        found = result.recognition.value
        if "masked" in found.provenance or not found.segments:
            return found.segments
        key = case, result.revision
        if key not in self._known:
            plain = tuple(replace(one, words=None) for one in found.segments)
            masked = (await self._text.mask(plain)).segments
            if [len(one.text) for one in masked] != [len(one.text) for one in plain]:
                raise RedactionFailed("masking has moved the text")
            self._keep(key, masked)
        self._known.move_to_end(key)
        return self._known[key]

    def _keep(self, key: tuple[int, int], segments: tuple[Segment, ...]) -> None:
        self._known[key] = segments
        self._chars += sum(len(one.text) for one in segments)
        while self._chars > _KEPT_CHARS and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            self._chars -= sum(len(one.text) for one in gone)
