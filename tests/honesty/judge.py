"""The judge: is an answer true? Knows the contract and the ledger, nothing of the product.

Every ``assert`` here is one way of lying. ``told`` is the answer as a client reads it.
"""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from stt_engine.warnings import BARS_ABSENCE
from tests.honesty.calls import (
    ELEMENTS,
    RUBRIC,
    RULES_FIND,
    SECRETS,
    Call,
    Claim,
    Failed,
    Line,
)
from tests.honesty.edges import undecoded
from tests.honesty.words import markers, strings, words_of

DUMMY_REASON = "모든 백엔드 실패로 인한 자동 fallback"
PRESENT = {"required": "satisfied", "prohibited": "violated"}
ALL_CLEAR = ("위반 없음", "no violation", "No violation")


def _without_marks(words: str) -> str:
    """Return words without the numbers that chance puts there, which may be a secret's digits."""
    return re.sub(r"\[\d{4}\] ?", "", words)


@dataclass(frozen=True)
class Judge:
    """Judges one answer to one call."""

    call: Call
    response: httpx2.Response
    may_refuse: bool
    """The circuit of the call's agent may have been open."""
    strict: bool = False
    """The server's setting, where the call does not say."""

    # --- what really happened -------------------------------------------------------------

    @property
    def refusal(self) -> Failed | None:
        """The caller's own mistake, where the chain met one."""
        return next((one for one in self.call.failed if one.refusal), None)

    @property
    def agent_failed(self) -> bool:
        return self.call.said is None or self.call.said.error_type is not None

    @property
    def cause(self) -> Failed:
        """The real reason of a recognition that failed: of those who could take part, the first."""
        able = [one for one in self.call.failed if not one.skipped]
        return (able or self.call.failed)[0]

    @property
    def shown_lines(self) -> tuple[Line, ...]:
        """The lines as the answer may show them."""
        heard = self.call.heard
        lines = heard.lines if heard else ()
        if self.call.redaction != "everywhere":
            return lines
        return tuple(replace(line, text=line.masked) for line in lines)

    def ruled(self, name: str) -> list[Line]:
        """Return the lines that say the element, and need nobody's judgement."""
        anyone = ELEMENTS[name].get("said_by", "agent") == "any"
        return [
            line
            for line in self.call.transcript
            if name in RULES_FIND.get(line.what, ()) and (anyone or line.speaker != "customer")
        ]

    def proved(self, name: str) -> list[Line]:
        """Return those of them that show it: what accuses needs a speaker who is known."""
        element = ELEMENTS[name]
        accuses = element["kind"] == "prohibited" and element.get("said_by", "agent") == "agent"
        return [line for line in self.ruled(name) if line.speaker or not accuses]

    # --- the verdict ----------------------------------------------------------------------

    def pronounce(self) -> None:
        """Assert that the answer is true."""
        assert self.response.status_code != 500, "no answer at all: the call is lost"
        if self.call.analyze is None and self.refusal:
            self._refused(self.refusal)
            return
        told = self.response.json()
        assert told["request_id"] == self.response.headers["x-request-id"]
        self._no_strangers(told)
        self._no_secrets(told)
        self._asked_about_this_call()
        if self.call.analyze is None:
            self._recognition(told)
            self._degraded(told)
        else:
            self._analysis(told)
        if self.call.check:
            self._agent(told)
        else:
            self._no_agent(told)

    def _refused(self, failed: Failed) -> None:
        """A mistake of the caller's is a problem document, never a dummy and never a result."""
        refusal_is_told(self.response, failed.refusal or 0)
        assert failed.message in self.response.json()["detail"]
        assert not self.call.asked, "a refused call went to the agent"

    def _no_strangers(self, told: dict[str, Any]) -> None:
        """Nothing of another call, but in what the LLM itself is quoted with."""
        answer = copy.deepcopy(told)
        answer.pop("agent_analysis")
        found = answer["incomplete_elements"] or {}
        found.pop("agent_analysis", None)
        for element in found.get("elements", ()):
            element.pop("rejected_quotes", None)
        whole = json.dumps([answer, dict(self.response.headers)], ensure_ascii=False)
        strangers = markers(whole) - {self.call.marker}
        assert not strangers, f"the answer tells of other calls: {strangers}"

    def _no_secrets(self, told: dict[str, Any]) -> None:
        whole = _without_marks(" ".join(strings(told)))
        leaked = [secret for secret in SECRETS if secret in whole]
        assert self.call.redaction != "everywhere" or not leaked, f"the answer tells {leaked}"

    def _asked_about_this_call(self) -> None:
        """The agent was shown this call, the whole of it, and no other."""
        for body in self.call.asked:
            shown = _without_marks(str(json.loads(body))) if body else ""
            assert markers(shown) <= {self.call.marker}, "the agent was shown another call"
            words = words_of(shown)
            missing = [line for line in self.call.readable if words_of(line.text) not in words]
            leaked = [secret for secret in SECRETS if secret in shown]
            assert self.call.redaction == "off" or not leaked, f"the agent was shown {leaked}"
            assert not body or not missing, f"the agent was not shown {missing}"

    # --- recognition ----------------------------------------------------------------------

    def _recognition(self, told: dict[str, Any]) -> None:
        attempts = [(one.source, one.error_type, one.message) for one in self.call.failed]
        claimed = [(one["backend"], one["error_type"], one["error"]) for one in told["attempts"]]
        assert claimed == attempts, "the attempts are not those that failed"
        if self.call.heard is None:
            self._dummy(told)
        else:
            self._speech(told)

    def _dummy(self, told: dict[str, Any]) -> None:
        assert told["success"] is False, "a recognition that failed is told as a success"
        assert (told["text"], told["segments"]) == ("", []), "words that nobody recognised"
        assert (told["outcome"], told["backend"]) == ("failed", "dummy")
        assert (told["is_dummy"], told["dummy_reason"]) == (True, DUMMY_REASON)
        assert told["error_type"] == self.cause.error_type, "not the real cause"
        assert told["error"] == self.cause.message, "not the real cause"
        read = self.call.decoder == "ok"
        assert told["duration"] == (self.call.duration if read else 0)

    def _speech(self, told: dict[str, Any]) -> None:
        heard = self.call.heard
        assert heard is not None
        lines = self.shown_lines
        assert told["text"] == " ".join(line.text for line in lines), "not the recognised words"
        assert told["outcome"] == heard.outcome
        assert bool(told["text"]) == (heard.outcome == "speech"), "an empty success"
        assert told["success"] is True
        assert (told["is_dummy"], told["dummy_reason"]) == (False, None)
        assert (told["error"], told["error_type"]) == (None, None)
        assert told["backend"] == heard.shown, "another recogniser gave these words"
        assert told["duration"] == self.call.duration
        assert told["provenance"]["rejected_segments"] == heard.rejected
        assert told["coverage"], "what was not heard is not told"
        told_lost = {(one["start"], one["reason"]) for one in told["coverage"]["unheard"]}
        assert told_lost == {(one.start, one.reason) for one in undecoded(self.call)}
        codes = {one["code"] for one in told["warnings"]} - {"speaker_unknown"}
        lost = {self.call.lost} & BARS_ABSENCE
        assert codes == lost | ({"rejected_text"} if heard.rejected else set())
        segments = [
            Line("", one["text"], one["start"], one["end"], one["channel"], one["speaker"])
            for one in told["segments"]
        ]
        assert [(one.text, one.start, one.channel, one.speaker) for one in segments] == [
            (one.text, one.start, one.channel, one.speaker) for one in lines
        ], "not the segments that were recognised"

    def _degraded(self, told: dict[str, Any]) -> None:
        """Header, status, repair and the partial failure say what is missing, and only that."""
        agent = self.call.check and self.agent_failed
        missing = [
            stage for stage, is_so in (("stt", not self.call.heard), ("agent", agent)) if is_so
        ]
        assert self.response.headers.get("x-stt-degraded", "") == ",".join(missing)
        nowhere = {"case": None, "status": "off", "expires_at": None}
        open_to = {"missing": missing, "revision": 1, **nowhere} if missing else None
        assert told["repair"] == open_to
        strict = self.strict if self.call.strict is None else self.call.strict
        assert self.response.status_code == (503 if strict and missing else 200)
        partial = agent and self.call.heard is not None
        assert told["is_partial_failure"] is partial
        if not partial:
            assert told["partial_failure_reason"] is None
            return
        error_type, words = self._agent_cause()
        assert told["partial_failure_reason"].startswith("불완전판매요소 검증 실패")
        assert f"({error_type}: " in told["partial_failure_reason"], "not the real cause"
        assert words in told["partial_failure_reason"], "not the real cause"

    # --- the check ------------------------------------------------------------------------

    def _agent_cause(self) -> tuple[str, str]:
        said = self.call.said
        if said is None:  # it was never asked: only an open circuit may do that
            assert self.may_refuse, "the agent was not asked, and its circuit is closed"
            return "CircuitOpen", "Circuit 열림"
        return said.error_type or "", said.words

    def _no_agent(self, told: dict[str, Any]) -> None:
        assert not self.call.asked, "an agent was asked that nobody asked for"
        assert (told["incomplete_elements"], told["agent_analysis"]) == (None, None)
        assert (told["agent_type"], told["is_agent_dummy"]) == (None, False)
        assert told["agent_dummy_reason"] is None

    def _agent(self, told: dict[str, Any]) -> None:
        assert told["is_agent_dummy"] is self.agent_failed
        if self.agent_failed:
            self._agent_dummy(told)
            return
        said = self.call.said
        assert said is not None
        assert told["agent_dummy_reason"] is None
        assert told["agent_type"] == ("external" if self.call.text_only else "vllm")
        assert told["agent_analysis"] == said.text, "words that the agent did not say"
        self._elements(told["incomplete_elements"])

    def _agent_dummy(self, told: dict[str, Any]) -> None:
        """Nothing is established by an agent that failed; what the rules found stands."""
        _, words = self._agent_cause()
        assert told["agent_type"] == "dummy"
        assert told["agent_dummy_reason"], "a dummy without a cause"
        assert words in told["agent_dummy_reason"], "not the real cause"
        assert told["agent_analysis"] is None
        found = told["incomplete_elements"]
        assert bool(found) is any(self.ruled(name) for name in ELEMENTS), "not what rules found"
        whole = json.dumps({**told, "segments": [], "text": ""}, ensure_ascii=False)
        assert not any(words in whole for words in ALL_CLEAR), "a failure reads as all clear"
        assert '"not_found"' not in whole, "absence without an analysis"
        if found:
            assert (found["success"], found["is_agent_dummy"]) == (False, True)
            for element in found["elements"]:
                self._element(element, None)

    def _analysis(self, told: dict[str, Any]) -> None:
        """``POST /analyze``: the check by itself."""
        assert self.response.status_code == 200
        degraded = self.response.headers.get("x-stt-degraded")
        assert degraded == ("agent" if self.agent_failed else None)
        usable = not self.agent_failed and bool(self.call.transcript)
        assert told["success"] is usable, "a success of nothing"
        if usable:
            assert (told["error"], told["error_type"]) == (None, None)
        elif self.agent_failed:
            error_type, words = self._agent_cause()
            assert told["error_type"] == error_type, "not the real cause"
            assert words in told["error"], "not the real cause"
        else:
            assert told["error_type"] == "NoTranscript"

    # --- element by element ---------------------------------------------------------------

    def _elements(self, found: dict[str, Any]) -> None:
        said, has_words = self.call.said, bool(self.call.transcript)
        assert said is not None
        assert found["success"] is has_words
        assert found["rubric_version"] == RUBRIC["version"]
        assert re.fullmatch("[0-9a-f]{64}", found["prompt_sha256"])
        assert found["model"] == said.model
        reading = ("proved" if said.read else "not_proved") if has_words else "not_asked"
        assert found["reading"] == reading, "reading that was not proved, or the reverse"
        assert [one["id"] for one in found["elements"]] == list(ELEMENTS)
        for element in found["elements"]:
            self._element(element, said.claims.get(element["id"]))
        established = [one for one in found["elements"] if one["source"]]
        assert found["established"] is bool(established)

    def _element(self, told: dict[str, Any], claim: Claim | None) -> None:
        where = (told["id"], told, claim)
        name, kind = told["id"], ELEMENTS[told["id"]]["kind"]
        by_llm, reason = self._truth(name, claim)
        ruled, proved = self.ruled(name), self.proved(name)
        unknown = "speaker_unknown"
        if claim and claim.denies in {line.what for line in proved}:
            self._contested(told, by_llm)
            return
        status, why = by_llm, reason
        if ruled:
            status = PRESENT[kind] if proved else "undetermined"
            why = "evidence_found" if proved else unknown
        assert told["status"] == status, f"a verdict that is not so: {where}"
        assert told["reason"] == why, f"not the reason: {where}"
        assert told["kind"] == kind
        by_claim = by_llm != "undetermined" and claim is not None
        both = proved and by_claim and by_llm == status
        source = "both" if both else "rules" if proved else "llm" if by_claim else None
        assert told["source"] == (None if why == unknown else source), where
        disagree = bool(proved) and by_claim and not both
        assert told["disagreement"] is disagree, where
        judged = claim is not None and bool(self.call.transcript)
        assert told["tiers"]["llm"] == (by_llm if judged else None), where
        assert not judged or told["tiers"]["llm_reason"] == reason, where
        assert told["tiers"]["rules"] in ({status} if proved else {"undetermined", None}), where
        shown = status in {"violated", "satisfied"} or why == unknown
        assert bool(told["evidence"]) == shown, where
        explained = claim.reason if claim and self.call.transcript else ""
        assert told["explanation"] == (explained or None), where
        rejected = by_llm == "undetermined" and claim and claim.status in PRESENT.values()
        refused = rejected and reason != unknown
        quotes = [claim.quote] if claim and refused and claim.quote else []
        assert told.get("rejected_quotes", []) == quotes, where
        if told["evidence"]:
            agrees = (by_claim and by_llm == status) or reason == why == unknown
            self._evidence(told, claim if agrees else None, ruled)

    def _contested(self, told: dict[str, Any], by_llm: str) -> None:
        """Both tiers look at one sentence and differ: nothing is determined, and both are told."""
        both = (PRESENT[told["kind"]], by_llm)
        assert (told["status"], told["reason"]) == ("undetermined", "tiers_differ"), told
        assert (told["source"], told["disagreement"]) == (None, True), told
        assert (told["tiers"]["rules"], told["tiers"]["llm"]) == both, told
        self._evidence(told, None, self.proved(told["id"]))

    def _truth(self, name: str, claim: Claim | None) -> tuple[str, str]:
        """Return the only status, and its reason, that may be told of an element."""
        if not self.call.transcript:
            return "undetermined", "no_transcript"
        if self.agent_failed:
            return "undetermined", "agent_failed"
        if claim is None:
            assert not ELEMENTS[name].get("applicable", True)
            return "not_applicable", "outside_call"
        if claim.truth in {"not_found", "not_applicable"}:
            if not self.call.covers(ELEMENTS[name].get("said_by", "agent")):
                return "undetermined", "transcript_degraded"
            if self.call.said is None or not self.call.said.read:
                return "undetermined", "reading_not_proved"
        return claim.truth, claim.why

    def _evidence(self, told: dict[str, Any], claim: Claim | None, ruled: list[Line]) -> None:
        """Every part is in the transcript, word for word, and together they are the quote."""
        lines = self.shown_lines
        by_rules, by_claim = {line.what for line in ruled}, ""
        for part in told["evidence"]:
            line = lines[part["segment_id"]]
            assert part["quote"] in line.text, f"a quote that nobody said: {part}"
            assert (part["start"], part["channel"]) == (line.start, line.channel)
            assert part["end"] == line.end
            anyone = ELEMENTS[told["id"]].get("said_by", "agent") == "any"
            assert anyone or line.speaker != "customer", "a customer's words as the agent's"
            at = line.text.find(part["quote"])
            masked = line.masked[at : at + len(part["quote"])]
            by_claim += words_of(masked if self.call.redaction != "off" else part["quote"])
            if line.what not in by_rules:
                assert claim, f"neither the rules nor the agent found this: {part}"
                exact = any(claim.quote.strip() in one.text for one in self.call.readable)
                assert part["match"] == ("exact" if exact else "normalised"), part
        shown = {lines[part["segment_id"]].what for part in told["evidence"]}
        assert by_rules <= shown, "what the rules found is not shown"
        assert claim is None or words_of(claim.quote) in by_claim, "the evidence is not the quote"


def refusal_is_told(response: httpx2.Response, status: int) -> None:
    """Assert a problem document without any result in it."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert set(told) == {"type", "title", "status", "detail", "request_id"}
    assert told["status"] == status
    assert told["detail"]
    assert "x-stt-degraded" not in response.headers
