"""The manifests of docker/kubernetes: they fit together, and the schemas of Kubernetes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from api_server.app import create_app
from api_server.observability.metrics import FailureMetrics
from api_server.settings import Settings
from stt_tools.cli.program import app
from tests.support.server import ROOT

FOLDER = ROOT / "docker/kubernetes"
OLDEST = "1.29.0"


def documents() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted(FOLDER.glob("*.yaml")):
        found += yaml.safe_load_all(file.read_text("utf-8"))
    return found


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents() if one["kind"] == kind}


def containers() -> list[dict[str, Any]]:
    pods = [one["spec"]["template"]["spec"] for one in of_kind("Deployment").values()]
    return [container for pod in pods for container in pod["containers"]]


def test_every_setting_is_one() -> None:
    (settings,) = of_kind("ConfigMap").values()
    assert {name.lower() for name in settings["data"]} <= set(Settings.model_fields)


def test_every_command_is_one_and_every_probe_asks_something_that_is_there() -> None:
    served = set(create_app(Settings()).openapi()["paths"])
    for one in containers():
        program, command, *options = one["command"]
        assert program == "stt-engine"
        said = CliRunner().invoke(app, [command, "--help"]).output
        assert all(option in said for option in options if option.startswith("--"))
        probes = [one[name] for name in one if name.endswith("Probe")]
        assert probes
        for probe in probes:
            if "httpGet" in probe:
                assert probe["httpGet"]["path"] in served
            else:
                assert probe["exec"]["command"][-1] == one["command"][-1]


def test_selectors_volumes_budgets_and_scales_name_what_is_there() -> None:
    deployments = of_kind("Deployment")
    claims = set(of_kind("PersistentVolumeClaim"))
    for name, one in deployments.items():
        pod = one["spec"]["template"]
        wanted = one["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= pod["metadata"]["labels"].items()
        volumes = pod["spec"]["volumes"]
        kept = [one["persistentVolumeClaim"] for one in volumes if "persistentVolumeClaim" in one]
        used = {one["claimName"] for one in kept}
        assert used == claims
        budget = of_kind("PodDisruptionBudget")[name]
        assert budget["spec"]["selector"]["matchLabels"] == wanted
    real = {metric.name for metric in FailureMetrics().registry.collect()}
    for scaler in of_kind("HorizontalPodAutoscaler").values():
        assert scaler["spec"]["scaleTargetRef"]["name"] in deployments
        for metric in scaler["spec"]["metrics"]:
            asked = (metric.get("pods") or metric["object"])["metric"]["name"]
            assert asked in real


VERSIONS = {
    "Deployment": "apps/v1",
    "Service": "v1",
    "ConfigMap": "v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}
PROBE = "httpGet exec periodSeconds timeoutSeconds failureThreshold initialDelaySeconds"
KEYS = {
    "Deployment.spec": "replicas selector template strategy",
    "Deployment.spec.template": "metadata spec",
    "Deployment.spec.template.spec": "terminationGracePeriodSeconds automountServiceAccountToken "
    "securityContext containers volumes nodeSelector tolerations affinity imagePullSecrets",
    "Deployment.spec.template.spec.securityContext": "runAsNonRoot runAsUser runAsGroup fsGroup "
    "seccompProfile",
    "Deployment.spec.template.spec.containers": "name image command envFrom env ports startupProbe "
    "readinessProbe livenessProbe resources securityContext volumeMounts",
    **{
        f"Deployment.spec.template.spec.containers.{one}Probe": PROBE
        for one in ("startup", "readiness", "liveness")
    },
    "Deployment.spec.template.spec.containers.resources": "requests limits",
    "Deployment.spec.template.spec.containers.securityContext": "allowPrivilegeEscalation "
    "readOnlyRootFilesystem capabilities",
    "Deployment.spec.template.spec.containers.volumeMounts": "name mountPath readOnly subPath",
    "Deployment.spec.template.spec.volumes": "name persistentVolumeClaim emptyDir secret configMap",
    "PodDisruptionBudget.spec": "selector maxUnavailable minAvailable",
    "HorizontalPodAutoscaler.spec": "scaleTargetRef minReplicas maxReplicas metrics behavior",
    "HorizontalPodAutoscaler.spec.metrics": "type pods object",
    "Service.spec": "selector ports type",
    "PersistentVolumeClaim.spec": "accessModes resources storageClassName",
}
"""An excerpt of the schemas, for what is written here: a misspelt key is silently left out."""


def misspelt(found: Any, where: str) -> list[str]:
    """Return the keys at and below a place that are none."""
    if isinstance(found, list):
        return [one for part in found for one in misspelt(part, where)]
    if not isinstance(found, dict):
        return []
    known = KEYS.get(where)
    wrong = [] if known is None else sorted(set(found) - set(known.split()))
    inner = [one for key, part in found.items() for one in misspelt(part, f"{where}.{key}")]
    return [f"{where}.{one}" for one in wrong] + inner


@pytest.mark.parametrize("document", documents(), ids=lambda one: f"{one['kind']}")
def test_every_key_is_one(document: dict[str, Any]) -> None:
    assert set(document) <= {"apiVersion", "kind", "metadata", "spec", "data"}
    assert document["apiVersion"] == VERSIONS[document["kind"]]
    assert misspelt(document, document["kind"]) == []
    assert misspelt({"spec": {"maxUnavailible": 1}}, "PodDisruptionBudget") != []


def test_servers_and_workers_are_watched_bounded_and_scaled() -> None:
    for one in containers():
        assert set(one["resources"]) == {"requests", "limits"}
        assert (
            one["livenessProbe"]["failureThreshold"] * one["livenessProbe"]["periodSeconds"] >= 60
        )
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
    (server,) = [one for one in containers() if "ports" in one]
    assert server["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert server["livenessProbe"]["httpGet"]["path"] == "/health/live"
    named = {port["name"] for port in server["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"]["port"] in named
    scaled = of_kind("HorizontalPodAutoscaler")
    assert set(scaled) == set(of_kind("Deployment")) == set(of_kind("PodDisruptionBudget"))
    (metric,) = scaled["stt-server"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "stt_engine_queue_audio_seconds"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda one: one.name)
def test_the_schemas_of_kubernetes_allow_them(file: Path) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="make test-kubernetes has it")
    for document in yaml.safe_load_all(file.read_text("utf-8")):
        for version in (OLDEST, validator.latest_version()):
            validator.validate(document, version, strict=True)


def test_the_check_of_a_worker_looks_at_its_file(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    command = [sys.executable, str(ROOT / "docker/healthcheck.py"), "fresh", str(file)]
    gone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (gone.returncode, "No such file" in gone.stdout) == (1, True)
    file.touch()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    os.utime(file, (1, 1))
    old = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (old.returncode, bool(re.search(r"was written \d+ s ago", old.stdout))) == (1, True)
