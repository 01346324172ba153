"""Small deliberate defects, as data: each is a way of lying that the honesty machine must see.

``old`` stands exactly once in ``file`` (below ``src``); where it does not any more, the run fails,
so that no mutant rots unseen. Add one for every new promise.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One defect; ``breaks`` says which promise."""

    file: str
    old: str
    new: str
    breaks: str


_ENGINE, _OUTCOME = "stt_engine/engine.py", "stt_engine/outcome.py"
_APP, _RENDER, _ANALYSIS = "api_server/app.py", "api_server/render.py", "api_server/analysis.py"
_METRICS = "api_server/metrics.py"
_SERVICES = "api_server/services"
_ADMISSION, _CIRCUIT = f"{_SERVICES}/admission.py", f"{_SERVICES}/circuit.py"
_BACKEND, _FORMATS = f"{_SERVICES}/agent_backend.py", f"{_SERVICES}/agent_formats.py"
_PROMPTS, _VALIDATOR = f"{_SERVICES}/prompts.py", f"{_SERVICES}/validator.py"
_FINDINGS, _EVIDENCE = f"{_SERVICES}/findings.py", f"{_SERVICES}/evidence.py"
_JUDGING, _RESULT = f"{_SERVICES}/judging.py", f"{_SERVICES}/check_result.py"
_ASKING, _COVERAGE = f"{_SERVICES}/asking.py", f"{_SERVICES}/coverage.py"
_RULES, _SERVICE = f"{_SERVICES}/rules.py", "api_server/service.py"

RECOGNITION = (
    Mutant(
        _ENGINE,
        '"success": not outcome.is_dummy,',
        '"success": True,',
        "a recognition that failed is a success",
    ),
    Mutant(
        _ENGINE,
        '"is_dummy": outcome.is_dummy,',
        '"is_dummy": False,',
        "a dummy does not say that it is one",
    ),
    Mutant(
        _ENGINE,
        '"error_type": cause.error_type if cause else None,',
        '"error_type": "DummyFallback" if cause else None,',
        "the dummy destroys the type of the real error",
    ),
    Mutant(
        _ENGINE,
        '"error": cause.message if cause else None,',
        '"error": None,',
        "the real error is swallowed",
    ),
    Mutant(
        _ENGINE,
        "found = backend.transcribe(request, audio, ticket)",
        'found = vars(self).setdefault("_kept", backend.transcribe(request, audio, ticket))',
        "a call is answered with the transcript of an earlier one",
    ),
    Mutant(
        _ENGINE,
        "        return attempts.settle(heard, source)",
        "        if source == DUMMY:\n"
        '            heard, source = Transcript("네", "ko", 1.0, "speech"), "faster-whisper"\n'
        "        return attempts.settle(heard, source)",
        "words are invented where nobody could recognise any",
    ),
    Mutant(
        _ENGINE,
        '"backend": heard.backend or outcome.source,',
        '"backend": outcome.source,',
        "a remote engine's recogniser is not named",
    ),
    Mutant(
        _OUTCOME,
        "return next(iter(real or self.failures), None)",
        "return next(reversed(real or self.failures), None)",
        "not the real cause is named, but the last one",
    ),
    Mutant(
        _OUTCOME,
        "if not failure.skipped]",
        "]",
        "a library that is not installed hides the real cause",
    ),
    Mutant(
        _OUTCOME,
        "        self.failures.append(failure)",
        "        self.failures[:] = [failure]",
        "earlier attempts are forgotten",
    ),
    Mutant(
        _ANALYSIS,
        "passes = (AudioRejected, InvalidRequest, QueueFull)\n        heard",
        "passes = (InvalidRequest, QueueFull)\n        heard",
        "the caller's mistake becomes a dummy",
    ),
    Mutant(
        "stt_engine/speech.py",
        'if (self.outcome == "speech") != bool(self.text.strip()):',
        'if self.outcome == "failed" and self.text:',
        "speech without a word is a success",
    ),
    Mutant(
        _ADMISSION,
        "if len(self._inside) >= AT_WORK + self._max_waiting:",
        "if len(self._inside) < 0:",
        "a full queue refuses nobody",
    ),
)
ANSWER = (
    Mutant(
        _APP,
        'headers = {"X-STT-Degraded": degraded} if degraded else {}',
        "headers: dict[str, str] = {}",
        "a degraded answer does not say so",
    ),
    Mutant(
        _APP,
        "if checked.value.agent.is_dummy:",
        "if False:",
        "a degraded analysis does not say so",
    ),
    Mutant(
        _APP,
        "status = 503 if degraded and strict else 200",
        "status = 200",
        "strict is forgotten",
    ),
    Mutant(
        _APP,
        "strict = service.settings.strict if strict is None else strict",
        "strict = bool(strict)",
        "the server's strictness is forgotten",
    ),
    Mutant(
        _RENDER,
        '("stt", analysis.heard.is_dummy),',
        '("stt", False),',
        "failed recognition is not told as degraded",
    ),
    Mutant(
        _RENDER,
        'partial = analysis.check_degraded and heard["success"]',
        "partial = False",
        "a partial failure does not say so",
    ),
    Mutant(
        _RENDER,
        'told = f"{cause.error_type}: {cause.message}" if cause else "원인 미상"',
        'told = "원인 미상"',
        "the cause of a partial failure is missing",
    ),
    Mutant(
        _RENDER,
        'return {"missing": missing.split(","), "revision": 1} if missing else None',
        "return None",
        "nothing says what has to be completed",
    ),
    Mutant(
        _ANALYSIS,
        "return self.checked is not None and self.checked.value.agent.is_dummy",
        "return False",
        "a check that failed is a check that was made",
    ),
    Mutant(
        _COVERAGE,
        "return min(1.0, self.recognised_sec / self.speech_sec) if self.speech_sec else 1.0",
        "return 1.0",
        "absence is stated though a part of the call was not heard",
    ),
    Mutant(
        _METRICS,
        'sample.labels["source"] == "dummy"',
        'sample.labels["source"] == "failed"',
        "dummies are counted as successes",
    ),
)
AGENT = (
    Mutant(
        _BACKEND,
        "return attempts.settle(dummy, DUMMY)",
        "return attempts.settle(dummy, source)",
        "the dummy's words are an agent's answer",
    ),
    Mutant(
        _BACKEND,
        "if not response.is_success:",
        "if response.is_redirect:",
        "an error page is read as an answer",
    ),
    Mutant(
        _BACKEND,
        "reply = await _RETRYING(rule, self._exchange, address, request, read_prompt)",
        "reply = vars(self).setdefault("
        '"_kept", await _RETRYING(rule, self._exchange, address, request, read_prompt))',
        "a call is checked with the answer to an earlier one",
    ),
    Mutant(
        _BACKEND,
        "with anyio.fail_after(limit) as scope:",
        "with anyio.CancelScope() as scope:",
        "a call has no deadline",
    ),
    Mutant(
        _FORMATS,
        'if finish != "stop":',
        'if finish == "content_filter":',
        "an answer that was cut is an answer",
    ),
    Mutant(
        _PROMPTS,
        "        refuse_half_characters(found)\n",
        "",
        "half a character in the LLM's words takes the whole answer with it",
    ),
    Mutant(
        _FORMATS,
        'if message.get("refusal"):',
        "if False:",
        "a refusal is an answer",
    ),
    Mutant(
        _CIRCUIT,
        "if self._state is CircuitState.OPEN and self._clock() >= self._until:",
        "if self._state is CircuitState.OPEN and self._clock() < 0:",
        "an agent that recovered is called unreachable for ever",
    ),
    Mutant(
        _CIRCUIT,
        "            permit.success()",
        "            permit.failure()",
        "a healthy agent is called unreachable",
    ),
    Mutant(
        _PROMPTS,
        "if missing or unknown:",
        "if unknown:",
        "an answer that leaves elements out is whole",
    ),
    Mutant(
        _PROMPTS,
        "if len(found) != len(pairs):",
        "if not pairs:",
        "of two answers to one question one is taken",
    ),
    Mutant(
        _PROMPTS,
        'return fenced["body"] if fenced else text',
        'return fenced["body"] if fenced else text[text.find("{") : text.rfind("}") + 1]',
        "JSON is fished out of any prose",
    ),
)
FINDINGS = (
    Mutant(
        _RESULT,
        'return None if result["is_agent_dummy"] and not result["established"] else result',
        "return result",
        "a list of nothing looks like an analysis",
    ),
    Mutant(
        _RESULT,
        "return self.has_transcript and not self.agent.is_dummy",
        "return not self.agent.is_dummy",
        "an analysis of nothing is a success",
    ),
    Mutant(
        _RESULT,
        'reason = _reason(findings, cause.message if cause else "Agent 응답 없음")',
        'reason = _reason(findings, "Agent 응답 없음")',
        "the agent's dummy does not name its cause",
    ),
    Mutant(
        _RESULT,
        '"agent_analysis": None if agent.is_dummy else agent.value.text,',
        '"agent_analysis": agent.value.text,',
        "the dummy's words are the agent's analysis",
    ),
    Mutant(
        _ASKING,
        "    text = prompt.call_text(call.segments)",
        '    text = vars(prompt).setdefault("_kept", prompt.call_text(call.segments))',
        "the agent is shown an earlier call",
    ),
    Mutant(
        _VALIDATOR,
        "return tuple(s for s in call_transcript if any(char.isalnum() for char in s.text))",
        "return tuple(s for s in call_transcript if any(char.isalnum() for char in s.text))[:4]",
        "the agent is shown a part of the call",
    ),
    Mutant(
        _JUDGING,
        'return Finding(element, "undetermined", Reason.AGENT_FAILED)',
        'return Finding(element, "not_found", Reason.NOT_SAID, "llm")',
        "a failed analysis finds nothing wrong",
    ),
    Mutant(
        _JUDGING,
        "if not call.coverage.suffices(element.said_by):",
        "if not call.segments:",
        "absence is stated of a call that was not heard whole",
    ),
    Mutant(
        _JUDGING,
        'if read != "proved":',
        'if read == "not_asked":',
        "absence is believed of an agent that did not read",
    ),
    Mutant(
        _JUDGING,
        "read = all(_read(",
        "read = any(_read(",
        "half a call is read to the end",
    ),
    Mutant(
        _JUDGING,
        "if anyone else Reason.EVIDENCE_NOT_FOUND",
        'if anyone else (Evidence(0, 0.0, 0.0, 0, quote, "exact"),)',
        "a quote is trusted without looking it up",
    ),
    Mutant(
        _JUDGING,
        "or Reason.DENIAL",
        "or tuple(part for hit in hits for part in hit.parts)",
        "a denial proves the statement",
    ),
    Mutant(
        _JUDGING,
        "if claim.status != PRESENT[element.kind]:",
        "if claim.status not in PRESENT.values():",
        "a verdict of the other kind is turned into its opposite",
    ),
    Mutant(
        _JUDGING,
        "if not element.applies_if:",
        "if element.kind is None:",
        "an agent waves a duty away",
    ),
    Mutant(
        _EVIDENCE,
        'if not (without_customer and r.speaker == "customer")',
        'if r.speaker != "nobody"',
        "a customer's question is the agent's promise",
    ),
    Mutant(
        _EVIDENCE,
        'return gap.strip()[:1] or " "',
        'return ""',
        "1.5 % is 15 %",
    ),
    Mutant(
        _EVIDENCE,
        "MIN_QUOTE_CHARS = 3",
        "MIN_QUOTE_CHARS = 1",
        "a syllable is evidence",
    ),
    Mutant(
        _EVIDENCE,
        'yield from self._hits(offsets[start], self._after(end), "normalised")',
        'yield from self._hits(offsets[start], self._after(end), "exact")',
        "a quote that was changed is called exact",
    ),
)
TIERS = (
    Mutant(
        _COVERAGE,
        "return least >= MIN_COVERAGE and not self.lost",
        "return least >= MIN_COVERAGE",
        "absence is stated though words were rejected",
    ),
    Mutant(
        _COVERAGE,
        'least = self.agent if said_by == "agent" else',
        'least = self.customer if said_by == "agent" else',
        "the other side's words cover for this one's",
    ),
    Mutant(
        _JUDGING,
        "    if not rules.established:\n",
        "    if not rules.established or llm.established:\n",
        "an opinion hides what the rules proved",
    ),
    Mutant(
        _JUDGING,
        'source="both" if both else "rules",',
        'source="both",',
        "the LLM is said to have found what it denied",
    ),
    Mutant(
        _RULES,
        "if DENIED.begins(call.text, span.end, end) or",
        "if",
        "a denial is taken for the statement",
    ),
    Mutant(
        _RULES,
        'return self.rule.question == "any" or',
        "return True or",
        "a question is taken for a promise",
    ),
    Mutant(
        _RULES,
        "if sentence.speaker is not None and self.by not in",
        "if sentence.speaker is None and self.by not in",
        "a customer's hope is the agent's promise",
    ),
    Mutant(
        _FINDINGS,
        'return len({self.by_rules, self.by_llm} - {None, "undetermined"}) > 1',
        "return False",
        "a disagreement is not told",
    ),
    Mutant(
        _VALIDATOR,
        "seen = masked.segments if masked else ()",
        "seen = segments",
        "the agent is shown personal data",
    ),
    Mutant(
        _VALIDATOR,
        "shown = seen if self._mask_evidence else segments",
        "shown = segments",
        "evidence shows what the answer masks",
    ),
    Mutant(
        _ANALYSIS,
        "        if self._mask is not None:\n",
        "        if self._mask is None:\n",
        "the answer shows personal data",
    ),
    Mutant(
        _BACKEND,
        "                reply = await self._exchange(address, again, read_prompt)\n",
        "                await self._exchange(address, again, read_prompt)\n",
        "an answer that was asked for once more is thrown away",
    ),
)
MUTANTS = (*RECOGNITION, *ANSWER, *AGENT, *FINDINGS, *TIERS)
