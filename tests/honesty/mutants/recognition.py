"""Defects of recognition and of the answer: wrong success, hidden causes and flags."""

from __future__ import annotations

from tests.honesty.mutants.defect import ANALYSIS, RENDER, Mutant

_ENGINE, _OUTCOME = "stt_engine/engine.py", "stt_engine/outcome.py"


_RESULT = "stt_engine/result.py"


_TRANSCRIBE = "api_server/http/routes/transcribe.py"


_RESULT_OF_CALL = "api_server/pipeline/result.py"


_METRICS = "api_server/observability/metrics.py"


_ADMISSION = "api_server/pipeline/admission.py"


RECOGNITION = (
    Mutant(
        _RESULT,
        '"success": not outcome.is_dummy and not transcript.untranslated,',
        '"success": True,',
        "a recognition that failed is a success",
    ),
    Mutant(
        _RESULT,
        '"is_dummy": outcome.is_dummy,',
        '"is_dummy": False,',
        "a dummy does not say that it is one",
    ),
    Mutant(
        _RESULT,
        '"error_type": error_type,',
        '"error_type": "DummyFallback" if error else None,',
        "the dummy destroys the type of the real error",
    ),
    Mutant(
        _RESULT,
        '"error": error,',
        '"error": None,',
        "the real error is swallowed",
    ),
    Mutant(
        _ENGINE,
        "found = backend.transcribe(call.request, audio, call.context, call.on_work)",
        'found = vars(self).setdefault("_kept", '
        "backend.transcribe(call.request, audio, call.context, call.on_work))",
        "a call is answered with the transcript of an earlier one",
    ),
    Mutant(
        _ENGINE,
        "return attempts.settle(call.transcript, DUMMY)",
        'return attempts.settle(Transcript("네", "ko", 1.0, "speech"), "faster-whisper")',
        "words are invented where nobody could recognise any",
    ),
    Mutant(
        _RESULT,
        '"backend": transcript.backend or outcome.source,',
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
        ANALYSIS,
        "= (AudioRejected, InvalidRequest)",
        "= (InvalidRequest,)",
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
        _TRANSCRIBE,
        'headers = {"X-STT-Degraded": degraded} if degraded else {}',
        "headers: dict[str, str] = {}",
        "a degraded answer does not say so",
    ),
    Mutant(
        "api_server/http/routes/analyze.py",
        "if checked.value.agent.is_dummy:",
        "if False:",
        "a degraded analysis does not say so",
    ),
    Mutant(
        _TRANSCRIBE,
        "status = 503 if degraded and strict else 200",
        "status = 200",
        "strict is forgotten",
    ),
    Mutant(
        _TRANSCRIBE,
        "strict = service.settings.strict if strict is None else strict",
        "strict = bool(strict)",
        "the server's strictness is forgotten",
    ),
    Mutant(
        _RESULT_OF_CALL,
        'stages = (("stt", self.recognition.is_dummy), ("agent", self.check_degraded))',
        'stages = (("stt", False), ("agent", self.check_degraded))',
        "failed recognition is not told as degraded",
    ),
    Mutant(
        RENDER,
        'partial = not recognised["is_dummy"] and bool(_partial_reason(result))',
        "partial = False",
        "a partial failure does not say so",
    ),
    Mutant(
        RENDER,
        'why = named(cause) if cause else "원인 미상"',
        'why = "원인 미상"',
        "the cause of a partial failure is missing",
    ),
    Mutant(
        RENDER,
        "if not result.missing and kept is None:",
        "if kept is None:",
        "nothing says what has to be completed",
    ),
    Mutant(
        _RESULT_OF_CALL,
        "return self.check is not None and self.check.degraded",
        "return False",
        "a check that failed is a check that was made",
    ),
    Mutant(
        RENDER,
        "coverage=result.recognition.value.coverage,",
        "coverage=None,",
        "what was not heard is not told",
    ),
    Mutant(
        RENDER,
        "warnings=[*result.recognition.value.warnings, *_check_warnings(result.check)],",
        "warnings=[*_check_warnings(result.check)],",
        "a warning is dropped",
    ),
    Mutant(
        "stt_engine/coverage.py",
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
