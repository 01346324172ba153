"""The work on callers' text as a child process does it, in the test's own process."""

from __future__ import annotations

from collections.abc import Callable

from api_server.compliance.text_operations import operations
from api_server.compliance.text_worker import TextInChild
from stt_engine.call import CallContext
from stt_engine.protocol import TextResult


class TextHere(TextInChild):
    """For tests that make a server a hundred times."""

    def _done(
        self, task: str, data: Callable[[], bytes], chars: int, context: CallContext
    ) -> bytes:
        options, given = self._options, data()
        steps = operations(lambda _jobs: None)["text"](
            {"operation": "text", "task": task, "options": options, "data": given}
        )
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: TextResult = end.value
                return result["data"]
