"""``stt-engine doctor``: diagnostics of this machine, each check with its result and advice."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import anyio

from api_server.access.key_ring import KeyRing
from api_server.clients.remote_stt import RemoteStt
from api_server.compliance.rubric import DEFAULT_RUBRIC, load_rubric
from api_server.container import Service
from api_server.http import server
from api_server.observability.readiness import check_clip, recognise_clip
from api_server.pipeline.model_names import ModelNames
from api_server.pipeline.records import keys_of
from api_server.settings import LOOPBACK, Settings
from stt_engine.backends.faster_whisper.openvino.cpu_features import (
    LIBRARY,
    UNITS,
    cpu_flags,
    cpu_units,
    has_library,
)
from stt_engine.errors import EngineError, NotApplicable
from stt_engine.log import named
from stt_engine.model_store.folder import locate
from stt_engine.model_store.places import find_model
from stt_engine.native_errors import CANNOT_TELL
from stt_engine.outcome import capture, error_type_of
from stt_engine.recognition.backend import LIBRARIES
from stt_engine.recognition.diarisation import MODEL, Diarisation

Verdict = Literal["ok", "warn", "fail"]

_LOW_SPACE_GB = 2.0
_VECTOR_UNITS = ("avx2", "avx512f")
_AGENT_PROBE_SEC = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. ``advice`` says what to do; empty where the verdict is ``ok``."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Check]:
    """Check all that a call needs, cheapest first; the last ones load a model and call the LLM."""
    yield _python()
    yield _cpu()
    yield _openvino()
    yield from _libraries()
    yield from _model(settings)
    yield anyio.run(_models, settings)
    yield _voices(settings)
    yield from _folders(settings)
    yield _keys(settings)
    yield _limits(settings)
    service = Service.of(settings)
    try:
        if service.remote:
            yield _remote(service.remote)
        yield _recognition(service)
        yield anyio.run(_agent, service)
    finally:
        service.stt.close()


def _python() -> Check:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", "ok", found)


def _cpu() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = cpu_flags()
    units = [name for name in (*_VECTOR_UNITS, *UNITS) if name in flags]
    return Check("cpu", "ok", f"{cores} cores; {', '.join(units) or 'no vector units listed'}")


def _openvino() -> Check:
    """Return whether OpenVINO can be used; it is optional, so the check never fails."""
    name, units = "openvino", cpu_units()
    if units is None:
        return Check(name, "ok", "not used: this CPU has no units for bfloat16 or int8")
    if has_library():
        return Check(name, "ok", f"{LIBRARY} {version(LIBRARY)} on {units}")
    advice = f"optional, for speed on this CPU ({units}): pip install 'stt-engine[bf16]'"
    return Check(name, "warn", f"{LIBRARY} is not installed", advice)


def _libraries() -> Iterator[Check]:
    for backend, (module, command) in LIBRARIES.items():
        if importlib.util.find_spec(module):
            yield Check(f"library {backend}", "ok", version(backend))
        else:
            advice = f"optional fallback; to have it: {command}"
            yield Check(f"library {backend}", "warn", "not installed", advice)


def _model(settings: Settings) -> Iterator[Check]:
    for backend in settings.stt_backends:
        name = f"model {backend}"
        try:
            folder = locate(settings.stt_model_path, backend)
        except NotApplicable as exc:
            yield Check(name, "warn", str(exc), "optional fallback; it needs its own format")
        except EngineError as exc:
            verdict: Verdict = "fail" if backend == settings.stt_backends[0] else "warn"
            yield Check(name, verdict, f"{exc.error_type}: {exc}", _MODEL_ADVICE)
        else:
            yield Check(name, "ok", str(folder.path))


async def _models(settings: Settings) -> Check:
    """Return which names a client may give as ``model``."""
    try:
        found = await ModelNames.of(settings).all()
    except CANNOT_TELL as exc:
        return Check("models", "warn", str(exc), "only the model above is used until it answers")
    return Check("models", "ok", f"{', '.join(one.name for one in found)} (the first is default)")


_MODEL_ADVICE = "fetch it with `stt-engine model fetch`, or point STT_MODEL_PATH at a folder"


def _voices(settings: Settings) -> Check:
    """Return whether speakers of mono calls can be told apart; it is optional."""
    # numpy, for which no other command waits
    from stt_engine.backends.faster_whisper.openvino.encoder import known_samples  # noqa: PLC0415
    from stt_engine.backends.voices.embedder import Embedder  # noqa: PLC0415

    name, folder = "speakers", find_model(MODEL, settings.stt_home)
    diarisation = Diarisation(settings.diarization, settings.limits(), folder=folder)
    if diarisation.mode == "off":
        return Check(name, "ok", "not told apart on mono calls (DIARIZATION=off)")
    with capture() as kept:
        samples, spans = known_samples(), [(0.0, 3.0)]
        embedder = Embedder(diarisation.weights(), threads=1)
        whole = (samples * 32_767).astype("int16")
        *_, found = embedder.windows(lambda first, last: whole[first:last], spans)
        told = len(found.starts) if found else 0
        return Check(name, "ok", f"voices are told apart on mono calls ({MODEL}, {told} windows)")
    error = kept.raised
    advice = f"mono calls have no speakers without it: stt-engine model fetch {MODEL}"
    return Check(name, "warn", f"{error_type_of(error)}: {error}", advice)


def _folders(settings: Settings) -> Iterator[Check]:
    for root in settings.audio_roots:
        if root.is_dir():
            yield Check("audio root", "ok", str(root))
        else:
            advice = "create it or set AUDIO_ROOTS; uploads work without it"
            yield Check("audio root", "warn", f"{root} is no folder", advice)
    if settings.log_file is not None:
        yield _writable("log folder", settings.log_file.parent, "stdout still has every line")
    temp = Path(tempfile.gettempdir())
    free = shutil.disk_usage(temp).free / 1024**3
    low = free < _LOW_SPACE_GB
    advice = "uploads and decoded audio go there; free some space or set TMPDIR" if low else ""
    yield Check("temporary folder", "warn" if low else "ok", f"{temp}: {free:.1f} GiB free", advice)


def _writable(name: str, folder: Path, otherwise: str) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Check(name, "ok", str(folder))
    except OSError as exc:
        return Check(name, "warn", f"{folder}: {exc.strerror}", otherwise)


def start_problems(settings: Settings, problems: list[str]) -> list[str]:
    """Return all that would end the start: ``problems``, and what only a file's content shows."""
    found = list(problems)
    for use in (
        lambda: KeyRing(settings),
        lambda: load_rubric(settings.rubric_path or DEFAULT_RUBRIC),
        lambda: server.check_tls(settings),
        lambda: keys_of(settings),
    ):
        try:
            use()
        except (ValueError, EngineError) as exc:
            found.append(str(exc))
    return found


def _keys(settings: Settings) -> Check:
    keys = KeyRing(settings).keys
    if keys:
        names = ", ".join(f"{one.name} ({'+'.join(sorted(one.roles))})" for one in keys)
        return Check("access", "ok", f"{len(keys)} API keys: {names}")
    if settings.api_host in LOOPBACK:
        return Check("access", "ok", f"no key needed on {settings.api_host}")
    return Check("access", "warn", f"no key on {settings.api_host}", "set API_KEYS")


def _limits(settings: Settings) -> Check:
    short = server.shortages(settings)
    if not short:
        return Check("process limits", "ok", "open files and memory suffice")
    advice = "raise them for the service (LimitNOFILE=, ulimits), or lower API_MAX_CONNECTIONS"
    return Check("process limits", "warn", "; ".join(short), advice)


def _remote(remote: RemoteStt) -> Check:
    try:
        remote.ensure_loaded()
    except EngineError as exc:
        advice = "the backends of this machine answer instead; start it or set STT_REMOTE_URL"
        return Check("remote recognition", "warn", f"{exc.error_type}: {exc}", advice)
    return Check("remote recognition", "ok", remote.url)


def _recognition(service: Service) -> Check:
    outcome = recognise_clip(service.stt)
    with capture() as kept:
        check_clip(outcome, service.settings.ready_canary_text)
        took = f"{outcome.elapsed_sec:.1f} s with loading"
        return Check("recognition", "ok", f'{outcome.source}, {took}: "{outcome.value.text}"')
    cause = outcome.cause if outcome.is_dummy else None
    found = named(cause) if cause else str(kept.raised)
    return Check("recognition", "fail", found, "see the lines above; a server would not be ready")


async def _agent(service: Service) -> Check:
    url = service.settings.agent_url
    probe = await service.agent.probe(url, _AGENT_PROBE_SEC)
    await service.agent.aclose()
    if probe.ready:
        return Check("LLM server", "ok", f"{url}: {probe.model}, {probe.elapsed_sec:.1f} s")
    advice = "transcripts work without it, checks do not; start it or set VLLM_API_URL"
    return Check("LLM server", "warn", f"{url}: {probe.error_type}: {probe.error}", advice)


def can_transcribe(checks: list[Check]) -> bool:
    """Return whether a call sent to this machine would be transcribed."""
    return not any(check.verdict == "fail" for check in checks)
