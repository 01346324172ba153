"""Every setting of the server, read from the environment and from ``.env``.

``docs/configuration`` is generated from this class; each field's description is its docstring.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stt_engine.engine import BACKENDS
from stt_engine.isolated import Limits, Tuning
from stt_engine.speech import AudioLimits

Names = Annotated[list[str], NoDecode]
"""A comma-separated list in the environment."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """Settings; the environment variable is the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", use_attribute_docstrings=True, frozen=True
    )

    api_host: str = "127.0.0.1"
    """Address to listen on. Any address but loopback needs API_KEYS or API_ALLOW_NO_KEY."""

    api_port: int = Field(8003, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    api_keys: Annotated[list[SecretStr], NoDecode] = []
    """Keys that callers must send one of, as `Authorization: Bearer KEY`; comma-separated."""

    api_allow_no_key: bool = False
    """Serve an address other than loopback without keys (a private container network, say)."""

    stt_model_path: Path = Path("models/Systran_faster-whisper-base")
    """Model folder, or one with a sub-folder for each backend (`faster-whisper/`, ...)."""

    stt_backends: Names = list(BACKENDS)
    """Backends in the order they are tried, comma-separated."""

    stt_remote_url: str | None = None
    """Another stt-engine that is asked first (`http://stt-model:8001`); the backends of this
    machine are its fallback. Empty: none."""

    stt_remote_api_key: SecretStr | None = None
    """Bearer token for it."""

    stt_device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run."""

    stt_compute_type: str = "auto"
    """CTranslate2 compute type (`int8`, `float16`, ...); `auto`: int8 on a CPU. On a CPU, `int8`
    means no bfloat16, and any other one no OpenVINO (`STT_ENCODER`)."""

    stt_decoding: Literal["batched", "sequential"] = "batched"
    """How faster-whisper is used. `batched`: stretches of speech are encoded at their own length
    and decoded together, those of different calls too; what is doubtful is heard again the other
    way. `sequential`: the library's own way, a stretch at a time."""

    stt_encoder: Literal["auto", "ctranslate2", "openvino"] = "auto"
    """Which library works for `batched`. `auto`: OpenVINO, where the CPU has units for it and
    `pip install 'stt-engine[bf16]'` was done: for a stretch of speech that is alone, to find where
    speech is, and with AMX, in bfloat16, as the encoder of all. It is proved against CTranslate2
    and onnxruntime before it is used, just after the server is ready. `openvino`: as the encoder of
    all without AMX too. `ctranslate2`: OpenVINO is never used."""

    stt_beam_size: int = Field(5, ge=1, le=10)
    """Hypotheses that the decoder follows; 1 is faster, and makes a few more mistakes."""

    stt_agent_channel: int = Field(0, ge=0, le=1)
    """Channel of a two-channel recording that is the agent: 0 is left, 1 is right."""

    stt_load_timeout_sec: float = Field(600.0, gt=0)
    """Longest time that loading a model may take."""

    stt_min_transcribe_sec: float = Field(60.0, gt=0)
    """Time that every recording may take on one backend, however short it is."""

    stt_max_realtime_factor: float = Field(4.0, gt=0)
    """Longest time on one backend as a multiple of the recording's length."""

    stt_stall_timeout_sec: float = Field(15.0, ge=2)
    """Silence after which a child process (heartbeat: 1 s) counts as hung and is ended."""

    stt_worker_memory_mb: int | None = Field(None, ge=256)
    """Ceiling on a model process's address space in MiB; unset: none."""

    stt_worker_recycle_mb: float = Field(2048.0, ge=0)
    """Growth of a model process's memory since it loaded, in MiB, above which it is replaced before
    the next call (a leak in a library)."""

    stt_decoder_memory_mb: int | None = Field(2048, ge=256)
    """Ceiling on the audio decoder's address space in MiB; empty: none."""

    audio_roots: Annotated[list[Path], NoDecode] = [Path("audio")]
    """Folders that `file_path` may point into, comma-separated (links are followed first)."""

    audio_max_bytes: int = Field(2 * 1024**3, gt=0)
    """Largest recording in bytes."""

    audio_max_duration_sec: float = Field(4 * 3600.0, gt=0)
    """Longest recording in seconds."""

    analyze_max_bytes: int = Field(10 * 1024**2, gt=0)
    """Largest body of POST /analyze in bytes."""

    queue_max_waiting: int = Field(64, ge=0)
    """Calls that may wait for recognition; one more is refused with 429 and `Retry-After`."""

    queue_max_wait_sec: float = Field(600.0, gt=0)
    """Longest forecast wait (sound that waits x measured real-time factor) that a call is let in
    for; a longer one is refused with 429 and `Retry-After`. A call that waits longer all the same
    ends as `CallExpired`."""

    stop_grace_sec: float = Field(30.0, ge=0)
    """Time that calls in hand have to finish after SIGTERM or Ctrl-C; those that have not are then
    answered with what there is."""

    strict: bool = False
    """Answer a degraded call with HTTP 503 (same body) unless the form field says otherwise."""

    vllm_api_url: str = "http://localhost:8000/v1"
    """Base URL of the OpenAI-compatible LLM server."""

    agent_model: str | None = None
    """Model name to ask for; unset: the first one of the server's `/v1/models`."""

    agent_api_key: SecretStr | None = None
    """Bearer token for the LLM server."""

    agent_allowed_hosts: Names = []
    """Hosts (`host` or `host:port`) that `agent_url` may name besides VLLM_API_URL's."""

    agent_timeout_sec: float = Field(30.0, gt=0)
    """Time for one LLM call, everything included, where the caller names none."""

    agent_max_timeout_sec: float = Field(300.0, gt=0)
    """Longest `timeout` that a caller may ask for."""

    agent_max_tokens: int = Field(1536, ge=64)
    """Longest answer of the LLM in tokens; the default rubric's takes 500 to 1,000."""

    agent_chunk_chars: int = Field(6000, ge=500)
    """Characters of a call that one question to the LLM shows (some 15 minutes); a longer call is
    asked about in chunks that overlap. Smaller for a small context."""

    agent_chunks_at_once: int = Field(4, ge=1)
    """Questions about one call that are asked at the same time."""

    agent_connect_timeout_sec: float = Field(3.0, gt=0)
    """Time for one connection attempt to an LLM server, or to STT_REMOTE_URL."""

    agent_proof_sec: float = Field(60.0, ge=0, allow_inf_nan=False)
    """How long an answer of the LLM server proves that it works; after that, and while it fails, it
    is asked for one token this often. 0: never. Where VLLM_API_URL is not set, nothing is asked
    before the first check of a call."""

    agent_proof_timeout_sec: float = Field(20.0, gt=0, allow_inf_nan=False)
    """Time for that token."""

    circuit_failure_threshold: int = Field(5, ge=1)
    """Consecutive failures of an LLM server that open its circuit."""

    circuit_recovery_timeout_sec: float = Field(60.0, gt=0)
    """Wait before an open circuit lets a probe through."""

    rubric_path: str | Path | None = None
    """Rubric file, or the name of a built-in one (`financial_consumer_protection`,
    `sales_process`); unset: the former."""

    redaction: Literal["off", "agent", "everywhere"] = "agent"
    """Mask personal data (resident numbers, phones, accounts, cards, e-mail addresses...; written
    and spoken). `agent`: in what the LLM is given; `everywhere`: in the answer too; `off`: not.
    Where masking fails the text is withheld."""

    ready_interval_sec: float = Field(10.0, gt=0)
    """How often readiness is looked at again (and a lost model loaded again)."""

    ready_proof_sec: float = Field(60.0, gt=0)
    """How often an idle server recognises the built-in clip again, to be sure that it still can."""

    ready_canary_text: str = "test speech recognition service"
    """Words of which one must be heard in the built-in clip before the server is ready.
    Empty: any text will do (for a model that knows no English)."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe level that is logged."""

    log_format: Literal["line", "json"] = "line"
    """`line`, or `json` with the same fields and `request_id`."""

    log_file: Path | None = Path("logs/api-server.log")
    """Rotating log file (10 MiB, five old ones) besides stdout; empty: none."""

    log_transcripts: bool = False
    """Allow transcript text in the log. Leave off wherever calls are real."""

    @field_validator(
        "stt_backends", "agent_allowed_hosts", "audio_roots", "api_keys", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator(
        "log_file",
        "rubric_path",
        "agent_model",
        "agent_api_key",
        "stt_remote_url",
        "stt_remote_api_key",
        "stt_worker_memory_mb",
        "stt_decoder_memory_mb",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("stt_remote_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("give http://HOST:PORT")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def agent_url(self) -> str:
        """The chat-completions URL of the default LLM server."""
        return f"{self.vllm_api_url.rstrip('/')}/chat/completions"

    def allows_agent(self, url: str) -> bool:
        """Tell whether ``url`` is plain http(s) to a host on the list, without user or fragment."""
        try:
            asked = urlsplit(url)
            port = asked.port or _PORTS.get(asked.scheme)
        except ValueError:
            return False
        if asked.scheme not in _PORTS or not asked.hostname or "@" in asked.netloc:
            return False
        own = urlsplit(self.vllm_api_url)
        if (asked.hostname, port) == (own.hostname, own.port or _PORTS.get(own.scheme)):
            return True
        allowed = {host.lower() for host in self.agent_allowed_hosts}
        return asked.hostname in allowed or f"{asked.hostname}:{port}" in allowed

    def tuning(self) -> Tuning:
        """Give how faster-whisper works."""
        return Tuning(self.stt_decoding, self.stt_encoder, self.stt_beam_size)

    def limits(self) -> Limits:
        """Give the engine's limits."""
        return Limits(
            audio=AudioLimits(self.audio_max_bytes, self.audio_max_duration_sec),
            load_timeout_sec=self.stt_load_timeout_sec,
            min_transcribe_sec=self.stt_min_transcribe_sec,
            max_realtime_factor=self.stt_max_realtime_factor,
            max_wait_sec=self.queue_max_wait_sec,
            stall_timeout_sec=self.stt_stall_timeout_sec,
            worker_memory_mb=self.stt_worker_memory_mb,
            worker_growth_mb=self.stt_worker_recycle_mb,
            decoder_memory_mb=self.stt_decoder_memory_mb,
        )


_PORTS = {"http": 80, "https": 443}
