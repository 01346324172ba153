"""Defects of the calls to the LLM: responses, circuit, formats."""

from __future__ import annotations

from tests.honesty.mutants.defect import BACKEND, FORMATS, PROMPTS, Mutant

_CIRCUIT = "api_server/clients/circuit_breaker.py"


AGENT = (
    Mutant(
        BACKEND,
        "return attempts.settle(dummy, DUMMY)",
        "return attempts.settle(dummy, source)",
        "the dummy's words are an agent's answer",
    ),
    Mutant(
        BACKEND,
        "reply = await _RETRYING(policy, self._exchange, endpoint, request, parse_completion)",
        "reply = vars(self).setdefault("
        '"_kept", await _RETRYING(policy, self._exchange, endpoint, request, parse_completion))',
        "a call is checked with the answer to an earlier one",
    ),
    Mutant(
        BACKEND,
        "with anyio.fail_after(limit) as scope:",
        "with anyio.CancelScope() as scope:",
        "a call has no deadline",
    ),
    Mutant(
        FORMATS,
        "if told in _CUT:",
        "if told is None:",
        "an answer that was cut is an answer",
    ),
    Mutant(
        PROMPTS,
        "        reject_lone_surrogates(found)\n",
        "",
        "half a character in the LLM's words takes the whole answer with it",
    ),
    Mutant(
        BACKEND,
        "patient = rest >= self._patience_sec",
        "patient = True",
        "one caller's short time-out shuts the agent off for others",
    ),
    Mutant(
        BACKEND,
        "        reject_error_body(body, status)\n",
        "",
        "an error that comes as a success is not named",
    ),
    Mutant(
        FORMATS,
        'if message.get("refusal"):',
        "if False:",
        "a refusal is an answer",
    ),
    Mutant(
        _CIRCUIT,
        "if self._state is CircuitState.OPEN and self._clock() >= self._open_until:",
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
        PROMPTS,
        "if missing or unknown:",
        "if unknown:",
        "an answer that leaves elements out is whole",
    ),
    Mutant(
        PROMPTS,
        "if len(found) != len(pairs):",
        "if not pairs:",
        "of two answers to one question one is taken",
    ),
    Mutant(
        PROMPTS,
        "return body if opens and ends and tail.strip() == _FENCE else text",
        'return text[text.find("{") : text.rfind("}") + 1]',
        "JSON is fished out of any prose",
    ),
)
