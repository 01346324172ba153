"""Cases with answers, put into a store by hand: the sample call, judged, and others."""

from __future__ import annotations

import io
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import anyio
import numpy as np

from api_server.compliance.result import ComplianceReport
from api_server.compliance.validator import get_incomplete_elements_validator
from api_server.pipeline.result import CallResult, CheckResult
from api_server.store.recordings import RecordingFolder
from api_server.store.records import Ending, NewCase, NewJob
from api_server.store.store import Store
from stt_engine.coverage import ChannelCoverage, SpeechCoverage, Unheard
from stt_engine.outcome import Outcome
from stt_engine.speech import Segment, Transcript
from stt_engine.warnings import warning
from tests.unit.validation_fakes import CONFIG, FakeAgent, answer, claim, sample_call

LEASE_SEC = 60.0
EVASION = "그런 건 상품설명서에 다 나와 있으니까 나중에 천천히 읽어 보시면 돼요."
CERTAIN = "사실상 원금은 보장된다고 보시면 됩니다."


@cache
def checked_report() -> Outcome[ComplianceReport]:
    """The sample call as rules and a scripted LLM judge it."""
    claims = {
        "solicitation__certainty": claim("violated", CERTAIN, "원금이 보장된다고 함"),
        "explanation__evasion": claim("violated", EVASION, "설명을 설명서로 넘김"),
    }
    validator = get_incomplete_elements_validator(FakeAgent(answer(**claims)))  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as thread:  # this one may run a loop already
        return thread.submit(anyio.run, validator.check, sample_call(), CONFIG).result()


def sample_result(
    segments: tuple[Segment, ...] = (), *, degraded: bool = False, revision: int = 1
) -> CallResult:
    """The sample call's answer; ``segments``: with these words instead, and no findings."""
    words = segments or sample_call()
    end = max(one.end for one in words) + 1.0
    unheard = (Unheard(end - 6.0, end - 4.0, 1, "no_text", 1.4),) if degraded else ()
    transcript = Transcript(
        " ".join(one.text for one in words),
        "ko",
        end,
        "speech",
        segments=words,
        coverage=SpeechCoverage(
            0.98, 1.0, "yes", (ChannelCoverage(0, 60, 60), ChannelCoverage(1, 20, 18)), unheard
        ),
        warnings=(warning("damaged", "2.0 s at 2:40"),) if degraded else (),
    )
    report = checked_report()
    if segments:
        report = replace(report, value=replace(report.value, elements=()))
    return CallResult(Outcome(transcript, "faster-whisper"), CheckResult(report), 1.0, revision)


def clean_result() -> CallResult:
    """The sample call's answer as if nothing had been found: nobody accused, no duty missing."""
    found = sample_result()
    assert found.check is not None
    assert found.check.report is not None
    report = found.check.report
    elements = tuple(
        replace(
            one,
            status="not_found" if one.element.kind == "prohibited" else "satisfied",
            evidence=(),
        )
        for one in report.value.elements
    )
    value = replace(report.value, elements=elements)
    return replace(found, check=CheckResult(replace(report, value=value)))


def two_channel_wav(seconds: float, channels: int = 2) -> bytes:
    """A tone on each channel: a low one, and a high one that begins in the middle."""
    at = np.arange(int(seconds * 16_000)) / 16_000
    low = 0.3 * np.sin(2 * np.pi * 220 * at) * (at % 2 < 1.5)
    high = 0.3 * np.sin(2 * np.pi * 660 * at) * (at > seconds / 2)
    raw = io.BytesIO()
    with wave.open(raw, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(16_000)
        both = np.stack([low, high][:channels], axis=1) * 32_000
        out.writeframes(both.astype("<i2").tobytes())
    return raw.getvalue()


def add_case(
    store: Store,
    folder: RecordingFolder,
    name: str,
    result: CallResult | None = None,
    recording: bytes | None = None,
    metadata: str = "{}",
    options: str = "{}",
) -> str:
    """Have a case end with an answer; return its id."""
    content = recording or f"recording {name}".encode()
    new = NewCase(name, folder.receive(io.BytesIO(content)))
    job, _ = store.submit(NewJob("", options, metadata, 5, (new,), name))
    found = result or sample_result()
    taken = store.claim(LEASE_SEC, 100)
    for other in taken:
        if other.job != job:  # another test's, which waits on
            store.put_back(other, counted=False)
    (claimed,) = (one for one in taken if one.job == job)
    seconds = found.recognition.value.duration
    assert store.finish(claimed, Ending("done", found.to_json().decode(), seconds))
    (case,) = store.list_cases(None, 1, None, job)
    return case.id


def long_result(sentences: int) -> CallResult:
    """A call of so many sentences, which has the findings of the sample call."""
    words = [one.text for one in sample_call()]
    found = sample_result(
        tuple(
            Segment(
                n,
                n * 0.72,
                n * 0.72 + 0.7,
                words[n % len(words)],
                n % 2,
                "agent" if n % 2 == 0 else "customer",
            )
            for n in range(sentences)
        )
    )
    return replace(found, check=CheckResult(checked_report()))


def hostile_segments() -> tuple[Segment, ...]:
    """Words that would be markup, scripts, or turn the page round."""
    texts = (
        "<script>document.body.dataset.pwned = 1</script>",
        '"><img src=x onerror="document.body.dataset.pwned = 1">',
        "\u202eמשהו בעברית\u202c 그리고 \u2066العربية",
        "{{ 7 * 7 }} {% raw %} ${7*7} javascript:alert(1)",
        "가" * 1_000_000,
    )
    return tuple(
        Segment(n, n * 2.0, n * 2.0 + 1.5, text, n % 2, "agent" if n % 2 == 0 else "customer")
        for n, text in enumerate(texts)
    )
