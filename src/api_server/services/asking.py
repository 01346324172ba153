"""Asking an agent about a call, chunk by chunk, within one time limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast, get_args

import anyio

from api_server.services.agent_types import (
    DUMMY_TEXT,
    AgentAnswer,
    AgentRequest,
    RequestFormat,
)
from api_server.services.chunks import chunked, cut
from api_server.services.coverage import Coverage
from api_server.services.deadline import Deadline
from api_server.services.evidence import TranscriptIndex
from api_server.services.findings import Call, Part, Review
from api_server.services.groups import ungrouped
from api_server.services.prompts import NO_CALL_SCHEMA, SCHEMA_NAME, Prompt
from stt_engine.errors import InvalidRequest
from stt_engine.outcome import DUMMY, Failure, Outcome
from stt_engine.speech import Segment

MAX_TOKENS = 1536
"""Length of an agent's answer, in tokens; a longer one is cut and so refused.

The default rubric's answers take 500 to 1,000. Servers subtract it from the model's context, so
that a very small context needs a smaller value.
"""

CHUNK_CHARS = 6000
"""Characters of a call that one question shows: some 15 minutes, 4,000 to 6,000 tokens."""

CHUNKS_AT_ONCE = 4
"""Questions about one call that are asked at the same time."""

_LEAST_SEC = 0.001  # a chunk whose turn comes too late still ends as a time-out, told as such


class Agent(Protocol):
    """Who can be asked; :class:`api_server.services.agent_backend.AgentBackend` can."""

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:
        """Ask; a failure of the agent gives a dummy."""
        ...


@dataclass(frozen=True, slots=True)
class AskLimits:
    """What one question may hold (characters of the call) and bring (tokens), and how many run."""

    max_tokens: int = MAX_TOKENS
    chunk_chars: int = CHUNK_CHARS
    chunks_at_once: int = CHUNKS_AT_ONCE


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking. ``parts`` are empty where there was no call to ask about."""

    answer: Outcome[AgentAnswer]
    parts: tuple[Part, ...] = ()

    @property
    def failed(self) -> int:
        """Chunks without a usable answer."""
        return sum(part.review is None for part in self.parts)


def base_request(
    prompt: Prompt, config: Mapping[str, str | None], timeout_sec: float, limits: AskLimits
) -> AgentRequest:
    """Give the question about an empty call, which shows whether the agent is well.

    Raises:
        InvalidRequest: ``config`` has no URL or an unknown format.
    """
    url, given = config.get("url"), config.get("format") or "prompt_based"
    if not url:
        raise InvalidRequest("agent_config에 url이 없습니다. Agent의 주소를 지정하십시오")
    if given not in get_args(RequestFormat):
        known = ", ".join(get_args(RequestFormat))
        raise InvalidRequest(f"agent_config의 format은 {known} 중 하나여야 합니다")
    return AgentRequest(
        prompt.no_call_text,
        url,
        cast("RequestFormat", given),
        timeout_sec,
        config.get("chat_thread_id"),
        schema=NO_CALL_SCHEMA,
        schema_name=SCHEMA_NAME,
        max_tokens=limits.max_tokens,
    )


async def ask_about(
    agent: Agent,
    prompt: Prompt,
    request: AgentRequest,
    limits: AskLimits,
    shown: Sequence[Segment],
    seen: Sequence[Segment],
    coverage: Coverage,
) -> Asked:
    """Ask about every chunk of a call.

    Args:
        agent: who is asked.
        prompt: the rubric in words.
        request: as :func:`base_request` gives it.
        limits: bounds of a question.
        shown: the call as evidence shows it.
        seen: the same, letter by letter, as the agent gets it.
        coverage: how much of the call's speech it holds.
    """
    slices = chunked([segment.text for segment in seen], limits.chunk_chars)
    if not slices:
        return Asked(await agent.ask(request))
    calls = [_call(cut(seen, one), cut(shown, one), coverage) for one in slices]
    # A thread of an external agent is one conversation: its questions come one by one.
    at_once = 1 if request.chat_thread_id else limits.chunks_at_once
    limiter, deadline = anyio.CapacityLimiter(at_once), Deadline.after(request.timeout_sec)
    answers: dict[int, Outcome[AgentAnswer]] = {}

    async def one(number: int, call: Call) -> None:
        """Ask about one chunk, when it is its turn."""
        async with limiter:
            left = max(_LEAST_SEC, deadline.remaining) if len(calls) > 1 else request.timeout_sec
            answers[number] = await agent.ask(_request(prompt, request, call, left))

    with ungrouped():
        async with anyio.create_task_group() as tasks:
            for number, call in enumerate(calls):
                tasks.start_soon(one, number, call)
    outcomes = [answers[number] for number in range(len(calls))]
    parts = tuple(
        Part(call, _review(outcome)) for call, outcome in zip(calls, outcomes, strict=True)
    )
    return Asked(joined(outcomes), parts)


def withheld(failure: Failure, request: AgentRequest, seen: Sequence[Segment]) -> Asked:
    """Give what there is where the agent could not be shown the call."""
    dummy = AgentAnswer(DUMMY_TEXT, "dummy", chat_thread_id=request.chat_thread_id)
    call = Call(tuple(seen), TranscriptIndex(()))
    return Asked(Outcome(dummy, DUMMY, (failure,)), (Part(call, None),))


def joined(outcomes: Sequence[Outcome[AgentAnswer]]) -> Outcome[AgentAnswer]:
    """Give the answers on all chunks as one; a dummy where one of them is."""
    if len(outcomes) == 1:
        return outcomes[0]
    failures = tuple(failure for one in outcomes for failure in one.failures)
    elapsed = max(one.elapsed_sec for one in outcomes)
    failed = next((one for one in outcomes if one.is_dummy), None)
    if failed is not None:
        return replace(failed, failures=failures, elapsed_sec=elapsed)
    words = "\n".join(one.value.text for one in outcomes)
    value = replace(outcomes[-1].value, text=words, parsed=None)
    return Outcome(value, outcomes[-1].source, failures, elapsed)


def _call(seen: tuple[Segment, ...], shown: tuple[Segment, ...], coverage: Coverage) -> Call:
    return Call(seen, TranscriptIndex(seen, shown), coverage)


def _request(prompt: Prompt, request: AgentRequest, call: Call, left_sec: float) -> AgentRequest:
    text = prompt.call_text(call.segments)
    return replace(
        request,
        text=text,
        timeout_sec=left_sec,
        system=prompt.system,
        schema=prompt.schema,
        parse=prompt.parse,
        repair=lambda refused: prompt.repair_text(text, refused),
    )


def _review(agent: Outcome[AgentAnswer]) -> Review | None:
    parsed = agent.value.parsed
    # Without what our own `parse` made of it, an answer counts as a failure.
    return parsed if not agent.is_dummy and isinstance(parsed, Review) else None
