"""Sample calls for the page for reviewers: a Korean call, whole and in parts, judged by the rules.

No LLM is asked, and the answers say so. The Korean call is a transcript without a recording.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import anyio

from api_server.clients.agent.errors import AgentConnectionError
from api_server.clients.agent.types import AgentAnswer, AgentRequest
from api_server.compliance.validator import get_incomplete_elements_validator
from api_server.pipeline.result import CallResult, CheckResult
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Ending, NewCase, NewJob
from api_server.store.store import Store
from stt_engine.events import Stage
from stt_engine.outcome import DUMMY, Attempts, Outcome
from stt_engine.speech import Segment, Transcript

KOREAN_CALL = Path(__file__).resolve().parent.parent / "audio" / "sample_call_ko.json"
CALLS = (
    ("ELS 상담, 전체", None, {"agent": "김서연", "product": "ELS"}),
    ("ELS 상담, 앞부분", 12, {"agent": "김서연", "product": "ELS"}),
    ("예금 만기 안내", 5, {"agent": "이도윤", "product": "정기예금"}),
)
"""Names, how many sentences of the sample they have, and what their jobs say of them."""

_CONFIG = {"url": "http://127.0.0.1:9/v1", "format": "prompt_based"}
_BYTES, _LEASE_SEC = 10**9, 60.0


class _NobodyThere:
    """Stands where an LLM would: it gives no answer, and says that it gave none."""

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:  # noqa: ARG002
        attempts = Attempts(Stage.AGENT, ())
        with attempts.of("vllm"):
            raise AgentConnectionError("the tour asks no LLM about this call")
        return attempts.settle(AgentAnswer("[DUMMY 응답]", "dummy"), DUMMY)


def put_samples(folder: Path) -> None:
    """Put the sample calls into a database, ``cases.db`` in ``folder``."""
    data = json.loads(KOREAN_CALL.read_text(encoding="utf-8"))["segments"]
    sentences = tuple(Segment(id=number, **one) for number, one in enumerate(data))
    recordings = RecordingFolder(folder / "recordings", _BYTES, 0)
    store = Store(folder / "cases.db", recordings)
    for name, count, about in CALLS:
        answer = anyio.run(_judge, sentences[:count])
        content = f"no recording: {name}".encode()
        case = NewCase(name, recordings.receive(io.BytesIO(content)))
        metadata = json.dumps(about, ensure_ascii=False)
        store.submit(NewJob("", "{}", metadata, 5, (case,), name))
        (claimed,) = store.claim(_LEASE_SEC, 1)
        length = answer.recognition.value.duration
        store.finish(claimed, Ending("done", answer.to_json().decode(), length))
    store.close()


async def _judge(sentences: tuple[Segment, ...]) -> CallResult:
    report = await get_incomplete_elements_validator(_NobodyThere()).check(sentences, _CONFIG)
    end = max(one.end for one in sentences) + 1.0
    words = " ".join(one.text for one in sentences)
    transcript = Transcript(words, "ko", end, "speech", segments=sentences)
    return CallResult(Outcome(transcript, "sample"), CheckResult(report), 1.0)
