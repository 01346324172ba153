"""Judges a call again whose agent and customer a person has exchanged: rules now, the LLM later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from api_server.clients.errors import LlmPostponed
from api_server.jobs.endings import RepairTerms, ending_of, repair_of
from api_server.jobs.options import JobOptions
from api_server.pipeline.analysis import AgentConfig, AnalysisRequest, CallAnalysis
from api_server.pipeline.result import CallResult
from api_server.store.records import Ending
from stt_engine.call import CallContext
from stt_engine.speech import Segment, Transcript

POSTPONED = (
    "상담원과 고객을 맞바꾸어 규칙만으로 먼저 다시 판정함. "
    "LLM 분석기를 쓸 수 있으면 새 답으로 이어서 판정함"
)
"""What the answer says of the LLM until it has judged, too."""

_OTHER = {"agent": "customer", "customer": "agent"}


class RoleSwap:
    """Makes the next answer of a call with its roles exchanged.

    Args:
        analysis: the pipeline.
        terms: what is completed later.
        agent: the LLM where a case names none.
    """

    def __init__(self, analysis: CallAnalysis, terms: RepairTerms, agent: AgentConfig) -> None:
        self._analysis = analysis
        self._terms = terms
        self._agent = agent

    async def judge(self, case: str, name: str, stored: str, before: CallResult) -> Ending:
        """Return how the case ends with its next answer; ``stored`` are its job's options.

        The rules have judged it; where the LLM is to be asked, that is the ending's repair.
        """
        options = JobOptions.from_json(stored)
        recognition = replace(before.recognition, value=_exchanged(before.recognition.value))
        result = replace(before, recognition=recognition, revision=before.revision + 1)
        if before.check is not None:
            speech = options.speech(Path(), self._terms.agent_channel)
            agent = options.agent or self._agent
            call = AnalysisRequest(speech, name, agent, CallContext(case, background=True))
            later = LlmPostponed(POSTPONED)
            check = await self._analysis.check(call, agent, recognition, later)
            result = replace(result, check=check)
        return ending_of(result, repair_of(result, options, self._terms))


def exchange(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return segments with agent and customer exchanged where voices gave them."""
    return tuple(
        replace(one, speaker=_OTHER.get(one.speaker, one.speaker))
        if one.speaker and one.speaker_source == "diarisation"
        else one
        for one in segments
    )


def _exchanged(transcript: Transcript) -> Transcript:
    return replace(
        transcript,
        segments=exchange(transcript.segments),
        segments_en=exchange(transcript.segments_en),
    )
