"""Which drills there are, and what no drill can make happen."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from api_server.drill import (
    agent_drills,
    audio_drills,
    check_drills,
    limit_drills,
    model_drills,
    remote_drills,
    sharing_drills,
    worker_drills,
)
from api_server.drill.bench import Drill
from stt_engine.errors import EngineError, all_errors

EXEMPT: Mapping[str, str] = MappingProxyType(
    {"RedactionFailed": "nothing outside the process makes masking fail; tests break its library"}
)
"""Error classes that cannot be made to happen here, each with the reason."""


def drills() -> tuple[Drill, ...]:
    """Give every drill, those of one bench together."""
    found = (
        *agent_drills.HEALTHY,
        *audio_drills.DRILLS,
        *agent_drills.DRILLS,
        *check_drills.DRILLS,
        *model_drills.DRILLS,
        *worker_drills.DRILLS,
        *sharing_drills.DRILLS,
        *limit_drills.DRILLS,
        *remote_drills.DRILLS,
        *worker_drills.LAST,
    )
    benches = list(dict.fromkeys(one.bench.name for one in found))
    return tuple(sorted(found, key=lambda one: benches.index(one.bench.name)))


def taxonomy() -> Mapping[str, type[EngineError]]:
    """Give every error class of the product: those of the server too, once it is imported."""
    import_module("api_server.service")
    return all_errors()
