"""The settings as one object."""

from __future__ import annotations

from pydantic import SecretStr

from api_server.settings.access import LOOPBACK, AccessSettings
from api_server.settings.addresses import PORTS, Address
from api_server.settings.agents import CircuitSettings, LlmServerSettings
from api_server.settings.compliance import ComplianceSettings
from api_server.settings.connections import ConnectionSettings
from api_server.settings.jobs import JobSettings
from api_server.settings.limits import CallLimitSettings
from api_server.settings.observability import LogSettings, ReadinessSettings
from api_server.settings.pii import PersonalDataSettings
from api_server.settings.recognition import RecognitionSettings
from api_server.settings.retention import RetentionSettings
from api_server.settings.review import ReviewSettings
from api_server.settings.sign_on import SignOnSettings
from api_server.settings.webhooks import WebhookSettings
from stt_engine.limits import Limits
from stt_engine.speech import AudioLimits


# Pydantic takes the fields of the last base first: the sections, read backwards.
class Settings(
    LogSettings,
    ReadinessSettings,
    PersonalDataSettings,
    ComplianceSettings,
    CircuitSettings,
    LlmServerSettings,
    WebhookSettings,
    SignOnSettings,
    ReviewSettings,
    RetentionSettings,
    JobSettings,
    CallLimitSettings,
    RecognitionSettings,
    ConnectionSettings,
    AccessSettings,
):
    """Settings; the environment variable is the field's name in capitals."""

    @property
    def reveals_text(self) -> bool:
        """Whether transcript text may stand in the log."""
        return self.log_transcripts and self.redaction != "everywhere"

    def as_text(self) -> dict[str, str]:
        """Return every setting by its variable's name, secrets in the open: for digests alone."""
        return {name.upper(): _text(getattr(self, name)) for name in type(self).model_fields}

    def limits(self) -> Limits:
        """Return the engine's limits."""
        return Limits(
            audio=AudioLimits(
                max_bytes=self.audio_max_bytes,
                max_duration_sec=self.audio_max_duration_sec,
                max_tracks=self.audio_max_tracks,
                max_channels=self.audio_max_channels,
                min_heard_share=self.audio_min_heard_share,
            ),
            load_timeout_sec=self.stt_load_timeout_sec,
            min_transcribe_sec=self.stt_min_transcribe_sec,
            max_realtime_factor=self.stt_max_realtime_factor,
            stall_timeout_sec=self.stt_stall_timeout_sec,
            worker_memory_mb=self.stt_worker_memory_mb,
            worker_growth_mb=self.stt_worker_recycle_mb,
            decoder_memory_mb=self.stt_decoder_memory_mb,
            models_memory_mb=self.stt_models_memory_mb,
            model_idle_sec=self.stt_model_idle_sec,
        )

    def targets(self) -> frozenset[str]:
        """Return the servers that are called by name: scheme, host and port of each."""
        urls = [self.vllm_api_url, *self.agent_allowed_urls]
        urls += [self.stt_remote_url] if self.stt_remote_url else []
        hosts = [one for one in self.agent_allowed_hosts if not one.endswith(":*")]
        urls += [f"{scheme}://{one}" for one in hosts for scheme in PORTS]
        return frozenset(Address.of(one).server for one in urls)

    def contradictions(self) -> list[str]:
        """Return a sentence for each pair of settings that cannot both hold."""
        found = []
        if self.api_host not in LOOPBACK and not self.needs_key and not self.api_allow_no_key:
            found.append(
                f"{self.api_host} can be reached from other machines and no API key is set: "
                "set API_KEYS, or API_ALLOW_NO_KEY=true on a private network"
            )
        if self.agent_timeout_sec > self.agent_max_timeout_sec:
            found.append("AGENT_TIMEOUT_SEC is above AGENT_MAX_TIMEOUT_SEC: every check is refused")
        if self.api_tls_key_file and not self.api_tls_cert_file:
            found.append("API_TLS_KEY_FILE is set without API_TLS_CERT_FILE: nothing is encrypted")
        roots = [root.absolute() for root in self.audio_roots]
        found += [
            f"WATCH_FOLDERS: {one} is not below AUDIO_ROOTS"
            for one in self.watch_folders
            if not any(one.absolute().is_relative_to(root) for root in roots)
        ]
        if self.known_voices and not self.recordings_key_file:
            found.append("KNOWN_VOICES is set without RECORDINGS_KEY_FILE: nothing is encrypted")
        if self.webhook_allowed_urls and not self.webhook_secrets:
            found.append("WEBHOOK_ALLOWED_URLS is set without WEBHOOK_SECRETS: nothing is signed")
        return found + self.sign_on_contradictions()


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return str(value)
