"""LLM review of a call, chunk by chunk, under one deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast, get_args

import anyio

from api_server.clients.agent.types import DUMMY_TEXT, AgentAnswer, AgentRequest, RequestFormat
from api_server.clients.deadline import Deadline
from api_server.clients.errors import LlmPostponed
from api_server.clients.task_groups import unwrap_exception_group
from api_server.compliance.findings import Review
from api_server.compliance.prompt import NO_CALL_SCHEMA, SCHEMA_NAME, Prompt
from stt_engine.errors import DeadlineExceeded, InvalidRequest
from stt_engine.events import Stage
from stt_engine.outcome import DUMMY, Failure, Outcome

MAX_TOKENS = 1536
"""Length limit of an answer, in tokens; a longer one is cut off and so rejected.

The default rubric's answers take 500 to 1,000. Servers subtract the limit from the model's
context, so a very small context needs a smaller value.
"""

CHUNK_CHARS = 6000
"""Characters of a call in one request: about 15 minutes, 4,000 to 6,000 tokens."""

_NOBODY = (Stage.AGENT, "queue", 0.0)

CHUNKS_AT_ONCE = 4
"""Concurrent requests about one call."""

NOT_SENT = "시간이 다 되어 통화의 이 구간은 분석기에 묻지 않음"


class Agent(Protocol):
    """A client of an LLM, such as :class:`api_server.clients.agent.backend.AgentBackend`."""

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:
        """Send ``request``; return a dummy if the agent fails."""
        ...


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """Limits of the requests about one call: tokens, characters and concurrency."""

    max_tokens: int = MAX_TOKENS
    chunk_chars: int = CHUNK_CHARS
    chunks_at_once: int = CHUNKS_AT_ONCE


@dataclass(frozen=True, slots=True)
class LlmReview:
    """The merged answer, and a review of each chunk: none where there was no call to send.

    ``unsent``: the numbers of the chunks whose turn came too late.
    """

    answer: Outcome[AgentAnswer]
    reviews: tuple[Review | None, ...] = ()
    unsent: tuple[int, ...] = ()

    @property
    def failed(self) -> int:
        """Number of chunks without a usable answer."""
        return self.reviews.count(None)


def build_base_request(
    prompt: Prompt, config: Mapping[str, str | None], timeout_sec: float, limits: ReviewLimits
) -> AgentRequest:
    """Return the request about an empty call, which only shows whether the agent works.

    Raises:
        InvalidRequest: ``config`` has no URL or an unknown format.
    """
    url, given = config.get("url"), config.get("format") or "prompt_based"
    if not url:
        raise InvalidRequest("agent_config has no url; set the address of the agent")
    if given not in get_args(RequestFormat):
        known = ", ".join(get_args(RequestFormat))
        raise InvalidRequest(f"the format in agent_config has to be one of {known}")
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


async def review_call(
    agent: Agent,
    prompt: Prompt,
    request: AgentRequest,
    limits: ReviewLimits,
    texts: Sequence[str],
    order: Sequence[int] = (),
) -> LlmReview:
    """Review every chunk of a call, as far as the time lasts.

    Args:
        agent: the client of the LLM.
        prompt: the prompt of the rubric.
        request: from :func:`build_base_request`.
        limits: limits of the requests.
        texts: what is asked about each chunk.
        order: the numbers of the chunks in the order of their turns; by default as they are.
    """
    if not texts:
        return LlmReview(await agent.ask(request))
    # A thread of an external agent is one conversation: its requests have to be sequential.
    at_once = 1 if request.chat_thread_id else limits.chunks_at_once
    limiter, deadline = anyio.CapacityLimiter(at_once), Deadline.after(request.timeout_sec)
    answers: dict[int, Outcome[AgentAnswer]] = {}
    unsent: list[int] = []

    async def review_chunk(turn: int, number: int) -> None:
        """Send the request about one chunk, within the concurrency limit."""
        async with limiter:
            timeout_sec = deadline.remaining if turn >= at_once else request.timeout_sec
            if timeout_sec <= 0:  # it has waited for too long
                unsent.append(number)
                answers[number] = _failed(Failure.of(DeadlineExceeded(NOT_SENT), *_NOBODY), request)
                return
            chunk = _build_request(prompt, request, texts[number], timeout_sec)
            answers[number] = await agent.ask(chunk)

    with unwrap_exception_group():
        async with anyio.create_task_group() as tasks:
            for turn, number in enumerate(order or range(len(texts))):
                tasks.start_soon(review_chunk, turn, number)
    outcomes = [answers[number] for number in range(len(texts))]
    reviews = tuple(map(_parsed_review, outcomes))
    return LlmReview(merge_answers(outcomes), reviews, tuple(sorted(unsent)))


def build_withheld_review(failure: Failure, request: AgentRequest) -> LlmReview:
    """Return the failed review of a call that must not be sent to the LLM."""
    return LlmReview(_failed(failure, request), (None,))


def build_postponed_review(why: LlmPostponed, request: AgentRequest, chunks: int) -> LlmReview:
    """Return the review of a call that the LLM is asked about later; nothing was sent."""
    return LlmReview(_failed(Failure.of(why, *_NOBODY), request), (None,) * chunks)


def _failed(failure: Failure, request: AgentRequest) -> Outcome[AgentAnswer]:
    dummy = AgentAnswer(DUMMY_TEXT, "dummy", chat_thread_id=request.chat_thread_id)
    return Outcome(dummy, DUMMY, (failure,))


def merge_answers(outcomes: Sequence[Outcome[AgentAnswer]]) -> Outcome[AgentAnswer]:
    """Return the answers on all chunks as one; a dummy if one of them is."""
    if len(outcomes) == 1:  # what was parsed is in the chunks; the answer is to be stored
        return replace(outcomes[0], value=replace(outcomes[0].value, parsed=None))
    failures = tuple(failure for one in outcomes for failure in one.failures)
    elapsed = max(one.elapsed_sec for one in outcomes)
    failed = next((one for one in outcomes if one.is_dummy), None)
    if failed is not None:
        return replace(failed, failures=failures, elapsed_sec=elapsed)
    text = "\n".join(one.value.text for one in outcomes)
    value = replace(outcomes[-1].value, text=text, parsed=None)
    return Outcome(value, outcomes[-1].source, failures, elapsed)


def _build_request(
    prompt: Prompt, request: AgentRequest, text: str, timeout_sec: float
) -> AgentRequest:
    return replace(
        request,
        text=text,
        timeout_sec=timeout_sec,
        system=prompt.system,
        schema=prompt.schema,
        parse=prompt.parse,
        repair=lambda refused: prompt.render_repair(text, refused),
    )


def _parsed_review(outcome: Outcome[AgentAnswer]) -> Review | None:
    parsed = outcome.value.parsed
    # An answer that `Prompt.parse` did not return counts as a failure.
    return parsed if not outcome.is_dummy and isinstance(parsed, Review) else None
