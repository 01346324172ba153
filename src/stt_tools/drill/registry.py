"""All scenarios, and the errors that no scenario can provoke."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from stt_engine.errors import EngineError, all_errors
from stt_tools.drill import (
    agent_scenarios,
    audio_scenarios,
    check_scenarios,
    job_scenarios,
    limit_scenarios,
    model_scenarios,
    remote_scenarios,
    repair_scenarios,
    sharing_scenarios,
    speaker_scenarios,
    worker_scenarios,
)
from stt_tools.drill.scenario import Scenario

EXEMPT: Mapping[str, str] = MappingProxyType(
    {
        "RedactionFailed": "nothing outside makes masking fail; tests break its library",
        "BodyTooLong": "it is told as a problem document, which has a scenario, and in no answer",
        "RubricModelInvalid": "a server does not start with it; tests change the file of one",
        "AudioNotFound": "a server opens a recording before it waits; the library's tests have it",
        "StorageUnresponsive": "a dead mount needs root; tests mount one and stop its server",
        "RecordingsUnreachable": "a refusal of jobs says it in words: 'object store gone'",
        "StoreFull": "it is a refusal of jobs alone; tests fill the quota and the reserve",
        "NoSuchJob": "it is told as a problem document, and in no answer; tests ask for none",
        "NoSuchCase": "it is told as a problem document, and in no answer; tests ask for none",
        "CaseHeld": "commands alone say it; tests erase what is held",
        "KeyMissing": "it is said of records, and in no answer; tests take the keys away",
        "LogBroken": "no checkpoint is made, and calls know nothing of it; tests cut the log",
        "KeyReused": "it is told as a problem document, and in no answer; tests send a key twice",
        "NoSuchWebhook": "it is told by a command, and in no answer; tests ask for none",
        "WebhookRefused": "a command says it in words: 'webhook refused'",
        "LlmPostponed": "a person at the page makes it so; tests swap the roles of a call",
        "DecisionRefused": "the page says it in words, and no answer does; tests decide too late",
        "ProviderUnavailable": "the page's login alone asks one; tests end the provider",
        "LoginNotProved": "the page's login alone says it; tests have a provider lie",
        "NoSuchUser": "a command says it, and no answer does; tests lock nobody's account",
        "UserExists": "a command says it, and no answer does; tests add an account twice",
        "NoSuchVoice": "commands and /voices say it, and no answer does; tests erase one twice",
        "VoiceExists": "commands and /voices say it, and no answer does; tests enrol one twice",
        "ModelTooLarge": "only clients of /v1/audio name another model; tests leave it no room",
        "ModelsFull": "only clients of /v1/audio name another model; tests fill the memory",
        "ResourcesExhausted": "a server without descriptors answers nobody; tests take them away",
    }
)
"""Error classes that no scenario can provoke, each with the reason."""


def scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, grouped by server profile."""
    found = (
        *agent_scenarios.HEALTHY,
        *audio_scenarios.SCENARIOS,
        *agent_scenarios.SCENARIOS,
        *check_scenarios.SCENARIOS,
        *repair_scenarios.SCENARIOS,
        *job_scenarios.SCENARIOS,
        *model_scenarios.SCENARIOS,
        *worker_scenarios.SCENARIOS,
        *speaker_scenarios.SCENARIOS,
        *sharing_scenarios.SCENARIOS,
        *limit_scenarios.SCENARIOS,
        *remote_scenarios.SCENARIOS,
        *worker_scenarios.LAST,
    )
    profiles = list(dict.fromkeys(one.profile.name for one in found))
    return tuple(sorted(found, key=lambda one: profiles.index(one.profile.name)))


def taxonomy() -> Mapping[str, type[EngineError]]:
    """Return every error class of the product, those of the server included."""
    import_module("api_server.container")
    return all_errors()
