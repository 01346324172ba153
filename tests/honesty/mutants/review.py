"""Defects of the review: verdicts, evidence, coverage, both tiers, masking."""

from __future__ import annotations

from tests.honesty.mutants.defect import (
    ANALYSIS,
    BACKEND,
    COMPLIANCE,
    COVERAGE,
    Mutant,
)

_TASKS = f"{COMPLIANCE}/text_tasks.py"
_FINDINGS, _EVIDENCE = f"{COMPLIANCE}/findings.py", f"{COMPLIANCE}/evidence.py"


_ABSENCE = f"{COMPLIANCE}/absence.py"
_READING, _VALIDATOR = f"{COMPLIANCE}/reading.py", f"{COMPLIANCE}/validator.py"
_VERDICTS, _RESULT = f"{COMPLIANCE}/verdicts.py", f"{COMPLIANCE}/result.py"


_QUOTES, _STATEMENTS = f"{COMPLIANCE}/rules/quotes.py", f"{COMPLIANCE}/rules/statements.py"
_RULES, _SERVICE = f"{COMPLIANCE}/rules/engine.py", "api_server/container.py"


FINDINGS = (
    Mutant(
        _RESULT,
        'return result if found or not result["is_agent_dummy"] else None',
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
        'reason = _dummy_reason(report, cause.message if cause else "Agent 응답 없음")',
        'reason = _dummy_reason(report, "Agent 응답 없음")',
        "the agent's dummy does not name its cause",
    ),
    Mutant(
        _RESULT,
        '"agent_analysis": None if agent.is_dummy else agent.value.text,',
        '"agent_analysis": agent.value.text,',
        "the dummy's words are the agent's analysis",
    ),
    Mutant(
        _TASKS,
        "        return PreparedCall.of(call, texts, masked.counts if self._mask else None)",
        '        texts = vars(self).setdefault("_kept", texts)\n'
        "        return PreparedCall.of(call, texts, masked.counts if self._mask else None)",
        "the agent is shown an earlier call",
    ),
    Mutant(
        _TASKS,
        "return tuple(one for one in transcript if any(char.isalnum() for char in one.text))",
        "return tuple(one for one in transcript if any(char.isalnum() for char in one.text))[:4]",
        "the agent is shown a part of the call",
    ),
    Mutant(
        _VERDICTS,
        'return Finding(element.ref, "undetermined", Reason.AGENT_FAILED)',
        'return Finding(element.ref, "not_found", Reason.NOT_SAID, "llm")',
        "a failed analysis finds nothing wrong",
    ),
    Mutant(
        _ABSENCE,
        "if not coverage.is_sufficient(element.said_by):",
        "if not coverage:",
        "absence is stated of a call that was not heard whole",
    ),
    Mutant(
        _ABSENCE,
        'return None if reading == "proved" else',
        'return None if reading != "not_asked" else',
        "absence is believed of an agent that did not read",
    ),
    Mutant(
        _READING,
        "[code for code, _ in copied] != [one.code for one in self.marks]",
        "not {code for code, _ in copied} <= {one.code for one in self.marks}",
        "half a call is read to the end",
    ),
    Mutant(
        _READING,
        "        return all(\n            _copies(",
        "        return any(\n            not words or _copies(",
        "marks without the words behind them prove a reading",
    ),
    Mutant(
        _VALIDATOR,
        "given = GivenCall(call, secrets.token_hex(_NONCE_BYTES), masked)",
        'given = GivenCall(call, "", masked)',
        "an answer that is always the same proves a reading",
    ),
    Mutant(
        _READING,
        "codes = chance.sample(range(1000, 10000), len(places))",
        "codes = range(1000, 1000 + len(places))",
        "what proves a reading can be guessed",
    ),
    Mutant(
        _VERDICTS,
        "return (), Reason.WRONG_SPEAKER if anyone else Reason.EVIDENCE_NOT_FOUND",
        'return (Evidence(0, 0.0, 0.0, 0, quote, "exact"),), None',
        "a quote is trusted without looking it up",
    ),
    Mutant(
        _QUOTES,
        "    if not told:\n        return Reason.NOTHING_SAID\n",
        "",
        "words that say nothing carry a verdict",
    ),
    Mutant(
        _QUOTES,
        "    return find_objection(call, span, number)\n",
        "    return None\n",
        "a quote that is denied, or another's, carries a verdict",
    ),
    Mutant(
        _QUOTES,
        "if call.sentences[number].question and not field.asks:",
        "if False:",
        "a quoted question carries a verdict",
    ),
    Mutant(
        _STATEMENTS,
        "    if grammar.reported.matches_at(call.text, span.end, end):\n"
        "        return Reason.REPORTED\n",
        "",
        "what others are said to say is the agent's statement",
    ),
    Mutant(
        _VERDICTS,
        "if rules.established and _same_words(rules.evidence, llm.contested):",
        "if False:",
        "of two views of one sentence, one is told",
    ),
    Mutant(
        _VERDICTS,
        "if verdict.status != PRESENT[element.kind]:",
        "if verdict.status not in PRESENT.values():",
        "a verdict of the other kind is turned into its opposite",
    ),
    Mutant(
        _VERDICTS,
        "if not element.applies_if:",
        "if element.kind is None:",
        "an agent waves a duty away",
    ),
    Mutant(
        _EVIDENCE,
        'if not (without_customer and t.speaker == "customer")',
        'if t.speaker != "nobody"',
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
        'yield from self._matches(offsets[start], self._original_end(end), "normalised")',
        'yield from self._matches(offsets[start], self._original_end(end), "exact")',
        "a quote that was changed is called exact",
    ),
)


TIERS = (
    Mutant(
        COVERAGE,
        "return least >= MIN_COVERAGE and not self.barred_by and not gap",
        "return least >= MIN_COVERAGE and not gap",
        "absence is stated though words were rejected",
    ),
    Mutant(
        COVERAGE,
        "return least >= MIN_COVERAGE and not self.barred_by and not gap",
        "return least >= MIN_COVERAGE and not self.barred_by",
        "absence is stated though the ledger has what was not decoded",
    ),
    Mutant(
        COVERAGE,
        'return unheard.reason not in {"damaged", "lost"} or',
        'return unheard.reason == "no_text" and',
        "an entry of the ledger is dropped",
    ),
    Mutant(
        COVERAGE,
        'least = self.agent if said_by == "agent" else',
        'least = self.customer if said_by == "agent" else',
        "the other side's words cover for this one's",
    ),
    Mutant(
        _VERDICTS,
        "    if not rules.evidence or doubted:",
        "    if not rules.evidence or doubted or llm.established:",
        "an opinion hides what the rules proved",
    ),
    Mutant(
        _VERDICTS,
        'source="both" if both and rules.established else rules.source,',
        'source="both",',
        "the LLM is said to have found what it denied",
    ),
    Mutant(
        _VERDICTS,
        'accuses = element.kind == "prohibited" and element.said_by == "agent"',
        "accuses = False",
        "words of nobody knows whom accuse the agent",
    ),
    Mutant(
        _STATEMENTS,
        "if grammar.denied.matches_at(call.text, span.end, end):",
        "if False:",
        "a denial is taken for the statement",
    ),
    Mutant(
        _RULES,
        'return Reason.QUESTION if self.rule.question == "never" and',
        "return Reason.QUESTION if False and",
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
        'or len({self.by_rules, self.by_llm} - {None, "undetermined"}) > 1',
        "or False",
        "a disagreement is not told",
    ),
    Mutant(
        _TASKS,
        "sent = masked.segments",
        "sent = segments",
        "the agent is shown personal data",
    ),
    Mutant(
        ANALYSIS,
        "        if self._mask is not None:\n",
        "        if self._mask is None:\n",
        "the answer shows personal data",
    ),
    Mutant(
        BACKEND,
        "                reply = await self._exchange(endpoint, second, parse_completion)\n",
        "                await self._exchange(endpoint, second, parse_completion)\n",
        "an answer that was asked for once more is thrown away",
    ),
)
