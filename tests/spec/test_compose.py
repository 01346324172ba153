"""The production compose file: servers and workers have one store, and every setting is one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from api_server.settings import Settings
from api_server.settings.jobs import JobSettings
from api_server.settings.retention import RetentionSettings
from api_server.settings.webhooks import WebhookSettings
from tests.support.server import ROOT

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker/docker-compose.yml").read_text("utf-8"))[
    "services"
]
BOTH = ("api-server", "worker")

SERVER_ALONE = ("JOBS_AT_ONCE", "WATCH_", "API_", "STRICT", "QUEUE_", "AGENT_PROOF")
"""What a worker has no use for, or has its own of."""

OF_AWS = {
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
}


@pytest.mark.parametrize("service", BOTH)
def test_every_name_is_a_setting(service: str) -> None:
    names = set(SERVICES[service]["environment"]) - OF_AWS - {"TZ"}
    assert {one.lower() for one in names} <= set(Settings.model_fields)


@pytest.mark.parametrize("service", BOTH)
def test_the_store_can_be_set_by_name(service: str) -> None:
    """Retention, proof, webhooks and an object store: what an operator sets, gets there."""
    given = set(SERVICES[service]["environment"])
    optional = {
        "RECORDINGS_RESERVE_BYTES",
        "AUDIT_KEY_FILE",
        "AUDIT_CHECKPOINT_SEC",
        "WEBHOOK_TIMEOUT_SEC",
    }
    wanted = {
        name.upper()
        for section in (RetentionSettings, WebhookSettings)
        for name in section.model_fields
    } | {"DATABASE_URL", "RECORDINGS_URL", "RECORDINGS_DIR", "JOBS_LEASE_SEC"}
    assert wanted - optional <= given
    assert given >= OF_AWS


def test_a_worker_has_the_store_of_the_server() -> None:
    server, worker = (SERVICES[one]["environment"] for one in BOTH)
    of_jobs = {name.upper() for name in JobSettings.model_fields}
    shared = {name for name in server if name in of_jobs and not name.startswith(SERVER_ALONE)}
    assert {name: worker.get(name) for name in shared} == {name: server[name] for name in shared}
    assert "api-home:/app/home" in SERVICES["worker"]["volumes"]
