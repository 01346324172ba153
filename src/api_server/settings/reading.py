"""Read the settings, and say everything that is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource

from api_server.settings.settings import Settings
from stt_engine.shown import nearest

_MEANT = 0.85
"""Least similarity of an unknown variable with a setting that makes it a misspelt one."""

_MEANT_BY_US = 0.62
"""The same for names that begin as only ours do."""

_OURS = ("STT_", "AGENT_", "RUBRIC_", "CIRCUIT_", "REDACTION")

ELSEWHERE = frozenset(
    {"VLLM_API_KEY", "API_PUBLISHED_PORT", "STT_MEMORY", "STT_CPUS", "STT_UID", "STT_GID"}
)
"""Variables with names like ours that belong to vLLM or to the compose files."""

_OF_A_CLUSTER = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_(TCP|UDP)\w*)")
"""Variables that Kubernetes makes for a service, whatever that is called."""


class SettingsInvalid(ValueError):
    """Settings that cannot be used; ``problems`` are one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_settings(**given: Any) -> Settings:  # noqa: ANN401 - any setting
    """Return the settings, those ``given`` before the environment's.

    Raises:
        SettingsInvalid: a name is misspelt, or a value cannot work.
    """
    settings, problems = examine_settings(**given)
    if problems:
        raise SettingsInvalid(problems)
    return settings


def examine_settings(
    **given: Any,  # noqa: ANN401 - any setting
) -> tuple[Settings, list[str]]:
    """Return the settings, and all that is wrong; a wrong value is its default there."""
    problems = misspelt([*os.environ, *DotEnvSettingsSource(Settings).env_vars])
    try:
        settings = Settings(**given)
    except ValidationError as exc:
        found = exc.errors(include_input=False, include_url=False)
        problems.extend(f"{_name(one['loc'])}: {_words(one['msg'])}" for one in found)
        wrong = {str(one["loc"][0]).lower() for one in found}
        settings = Settings(**{**given, **{name: _default(name) for name in wrong}})
    return settings, [*problems, *settings.contradictions()]


def misspelt(names: Iterable[str]) -> list[str]:
    """Return a sentence for each name that is no setting and was meant to be one."""
    known = {name.upper() for name in Settings.model_fields}
    strange = {name.upper() for name in names} - known - ELSEWHERE
    return sorted(
        f"{name} is no setting; did you mean {meant}?"
        for name in strange
        if not _OF_A_CLUSTER.fullmatch(name) and (meant := _meant(name, known))
    )


def _meant(name: str, known: Iterable[str]) -> str | None:
    similar = _MEANT_BY_US if name.startswith(_OURS) else _MEANT
    return nearest(name, known, similar) or next(_extensions(name, known), None)


def _extensions(name: str, known: Iterable[str]) -> Iterator[str]:
    """Yield the settings of which ``name`` leaves out words: ``VLLM_URL`` for ``VLLM_API_URL``."""
    words = name.split("_")
    for one in sorted(known, key=len):
        whole = one.split("_")
        if len(words) > 1 and words[0] == whole[0] and set(words) < set(whole):
            yield one


def _name(loc: tuple[int | str, ...]) -> str:
    return str(loc[0]).upper() if loc else "settings"


def _words(message: str) -> str:
    return message.removeprefix("Value error, ")


def _default(name: str) -> Any:  # noqa: ANN401 - any setting's value
    return Settings.model_fields[name].get_default(call_default_factory=True)
