"""Alert rules and dashboard: about metrics and advice that exist; the rules tried by promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from api_server.observability.metrics import FailureMetrics

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULES = (MONITORING / "alerts.yml").read_text("utf-8")
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))


def real_names() -> set[str]:
    """Return every name under which Prometheus keeps a sample of ours."""
    found: set[str] = set()
    for metric in FailureMetrics().registry.collect():
        if metric.type == "counter":
            found.add(f"{metric.name}_total")
        elif metric.type == "histogram":
            found |= {f"{metric.name}_{part}" for part in ("bucket", "count", "sum")}
        else:
            found.add(metric.name)
    return found


def test_rules_and_panels_ask_for_metrics_that_exist() -> None:
    asked = set(re.findall(r"stt_engine_\w+", RULES + json.dumps(DASHBOARD)))
    assert len(asked) >= 12
    assert asked <= real_names()


def test_every_metric_is_on_the_dashboard() -> None:
    shown = json.dumps(DASHBOARD)
    for metric in FailureMetrics().registry.collect():
        assert metric.name in shown, metric.name


def test_every_alert_leads_to_advice() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
    alerts = re.findall(r"- alert: (\w+)", RULES)
    advice = re.findall(r"runbook: docs/operations\.md#(\S+)", RULES)
    assert len(alerts) == len(advice) >= 10
    assert set(advice) <= anchors
    for alert in alerts:
        assert f"`{alert}`" in text


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not here")
@pytest.mark.parametrize(
    "command", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")]
)
def test_the_rules_fire_when_they_should(command: tuple[str, ...]) -> None:
    ran = subprocess.run(
        ["promtool", *command], cwd=MONITORING, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
