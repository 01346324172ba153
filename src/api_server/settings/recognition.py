"""The models, the backends, and what one recognition may take."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from api_server.settings.addresses import BaseUrl
from api_server.settings.base import CommaSeparated, EmptyIsNone, Section
from api_server.settings.keys import check_secret
from stt_engine.engine import BACKENDS
from stt_engine.limits import Tuning
from stt_engine.model_store.places import find_model
from stt_engine.shown import unknown

INSTALLED = "installed"
"""In ``STT_OTHER_MODELS``: whatever is in the models' folders."""


class RecognitionSettings(Section):
    """Speech recognition."""

    heading: ClassVar[str] = "Speech recognition"

    stt_home: EmptyIsNone[Path] = None
    """Folder whose `models` is used where the working folder has none, from any folder; unset: the
    user's own for data (`~/.local/share/stt-engine`)."""

    stt_model_path: Path = Field(Path("models/Systran_faster-whisper-base"), validate_default=True)
    """Model folder, or one with a sub-folder for each backend (`faster-whisper/`, ...); or a name
    (`base`, `large-v3-turbo`). What is not in the working folder is looked for in `STT_HOME`."""

    stt_model_aliases: CommaSeparated[str] = Field(
        [
            "whisper-1",
            "gpt-transcribe",
            "gpt-4o-transcribe",
            "gpt-4o-mini-transcribe",
            "gpt-4o-transcribe-diarize",
        ]
    )
    """Other names of this model for clients of OpenAI's API (`model`), comma-separated."""

    stt_other_models: CommaSeparated[str] = Field([INSTALLED])
    """Other models that a client of OpenAI's API may ask for by name (`model`), comma-separated:
    names or folders, or `installed`: all that are in the models' folders. Empty: none. One is
    loaded when it is first asked for, beside the model above."""

    stt_models_memory_mb: float = Field(4096.0, ge=0)
    """Memory for the processes of all models together, in MiB. The model above always has its
    place; of the others, those that no call uses are unloaded for one that is asked for."""

    stt_model_idle_sec: float = Field(600.0, gt=0)
    """Time without a call after which another model than the one above is unloaded."""

    stt_backends: CommaSeparated[str] = Field(list(BACKENDS))
    """Backends in the order they are tried, comma-separated."""

    stt_remote_url: EmptyIsNone[BaseUrl] = None
    """Another stt-engine that is tried first (`http://stt-model:8001`); the backends of this
    machine are its fallback. Empty: none."""

    stt_remote_api_key: EmptyIsNone[SecretStr] = None
    """Bearer token for it."""

    stt_device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run."""

    stt_compute_type: Literal[
        "auto",
        "default",
        "int8",
        "int8_float32",
        "int8_float16",
        "int8_bfloat16",
        "int16",
        "float16",
        "bfloat16",
        "float32",
    ] = "auto"
    """CTranslate2 compute type; `auto`: int8 on a CPU. On a CPU, `int8`
    means no bfloat16, and any other one no OpenVINO (`STT_ENCODER`)."""

    stt_decoding: Literal["batched", "sequential"] = "batched"
    """The pipeline of faster-whisper. `batched`: chunks of speech are encoded at their own length
    and decoded together, those of different calls too; a chunk of low confidence is transcribed
    again by the other pipeline. `sequential`: the library's own pipeline, a chunk at a time."""

    stt_encoder: Literal["auto", "ctranslate2", "openvino"] = "auto"
    """Which library runs the `batched` pipeline. `auto`: OpenVINO, where the CPU has the
    instructions for it and `pip install 'stt-engine[bf16]'` was done: for a single chunk, to detect
    speech, and with AMX, in bfloat16, as the encoder of every chunk. Its results are compared with
    those of CTranslate2 and onnxruntime before it is used, just after the server is ready.
    `openvino`: as the encoder of every chunk without AMX too. `ctranslate2`: OpenVINO is never
    used."""

    stt_beam_size: int = Field(5, ge=1, le=10)
    """Hypotheses that the decoder follows; 1 is faster, and makes a few more mistakes."""

    stt_agent_channel: int = Field(0, ge=0, le=1)
    """Channel of a two-channel recording that is the agent: 0 is left, 1 is right."""

    diarization: Literal["off", "auto"] = "auto"
    """Whether the voices of a call in one channel are told apart (docs/speakers.md). `auto`: where
    the model is there (`stt-engine model fetch campplus-zh-en-common`); calls whose channels show
    who speaks pay nothing. `off`: never."""

    known_voices: bool = False
    """Whether the voices of agents may be enrolled (`stt-engine voices`, `/voices`), and every call
    is compared with them (docs/speakers.md). Biometric data: they are stored encrypted, so
    RECORDINGS_KEY_FILE is needed; each enrolment, comparison and erasure is in the audit log."""

    stt_load_timeout_sec: float = Field(600.0, gt=0)
    """Longest time that loading a model may take."""

    stt_min_transcribe_sec: float = Field(60.0, gt=0)
    """Time that every recording may take on one backend, however short it is."""

    stt_max_realtime_factor: float = Field(4.0, gt=0)
    """Longest time on one backend as a multiple of the recording's length."""

    stt_stall_timeout_sec: float = Field(15.0, ge=2)
    """Silence after which a child process (heartbeat: 1 s) counts as hung and is ended."""

    stt_worker_memory_mb: EmptyIsNone[int] = Field(None, ge=256)
    """Ceiling on a model process's address space in MiB; unset: none."""

    stt_worker_recycle_mb: float = Field(2048.0, ge=0)
    """Growth of a model process's memory since it loaded, in MiB, above which it is replaced before
    the next call (a leak in a library)."""

    stt_decoder_memory_mb: EmptyIsNone[int] = Field(2048, ge=256)
    """Ceiling on the audio decoder's address space in MiB; empty: none."""

    @field_validator("stt_model_path")
    @classmethod
    def _is_found(cls, value: Path, info: ValidationInfo) -> Path:
        return find_model(value, info.data.get("stt_home"))

    @field_validator("stt_backends")
    @classmethod
    def _exist(cls, value: list[str]) -> list[str]:
        for one in value:
            if one not in BACKENDS:
                raise ValueError(unknown("backend", one, BACKENDS))
        if not value:
            raise ValueError(f"name at least one of {', '.join(BACKENDS)}")
        return value

    @field_validator("stt_remote_api_key")
    @classmethod
    def _is_sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value:
            check_secret(value.get_secret_value())
        return value

    def tuning(self) -> Tuning:
        """Return how faster-whisper works."""
        return Tuning(self.stt_decoding, self.stt_encoder, self.stt_beam_size)
