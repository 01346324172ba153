"""What a rubric makes of a stored call without an LLM, by the code for where none answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api_server.compliance.coverage import Coverage
from api_server.compliance.findings import Finding, Reason
from api_server.compliance.rubric import Rubric
from api_server.compliance.text_tasks import GivenCall, ReadCall, ReviewedCall
from api_server.compliance.text_worker import EXAMINE, JUDGE, PREPARE, TextInChild
from stt_engine.speech import Segment

SUSPECTED = "suspected"
"""Stands for an undetermined element with words that a person should look at."""


async def judge_without_llm(
    text: TextInChild, rubric: Rubric, segments: Sequence[Segment], coverage: Coverage
) -> Mapping[str, str]:
    """Return the status of each element that is examined, or :data:`SUSPECTED`.

    Raises:
        EngineError: the text cannot be worked on.
    """
    read = ReadCall.of(tuple(segments))
    runner = text.with_rubric(rubric)
    # Nothing is sent anywhere, so nothing has to be masked.
    call = await runner.run(PREPARE, GivenCall(read, "", {}), read.chars)
    if not call.utterances:
        return {}
    rules = await runner.run(EXAMINE, call.text, call.chars)
    reviewed = ReviewedCall(call.text, (None,) * len(call.texts), coverage, rules)
    judged = await runner.run(JUDGE, reviewed, call.chars)
    asked = {one.id for one in rubric.asked}
    return {one.element.id: _status(one) for one in judged.findings if one.element.id in asked}


def _status(one: Finding) -> str:
    looks = one.evidence and one.reason is not Reason.DOUBTED
    return SUSPECTED if one.status == "undetermined" and looks else one.status
