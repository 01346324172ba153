"""Alert rules and dashboard: about metrics and advice that exist; the rules tried by promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from api_server.observability.metrics import FailureMetrics

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULES = (MONITORING / "alerts.yml").read_text("utf-8")
FUNCTIONS = set(
    "sum by rate increase max min avg count histogram_quantile on ignoring and or unless absent "
    "changes clamp_min time avg_over_time max_over_time min_over_time delta deriv label_replace"
    " group_left vector scalar".split()
)
"""Functions and words of PromQL that the rules may use."""
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


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES)["groups"]
    assert all(set(one) <= {"name", "interval", "rules"} for one in groups)
    found: list[dict[str, Any]] = [rule for one in groups for rule in one["rules"]]
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_one_as_far_as_its_form_says(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
    for name in ("for", "keep_firing_for"):
        assert re.fullmatch(r"(\d+(ms|[smhdwy]))+", rule.get(name, "1m"))
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "runbook"}
    placeholders = re.findall(r"{{(.*?)}}", rule["annotations"]["summary"])
    assert all(re.match(r" \$(value|labels\.\w+)( \||$| )", one) for one in placeholders)
    expression = re.sub(r'"[^"]*"', "S", rule["expr"])
    assert re.search(r"stt_engine_\w+|\bup\b", expression)
    assert not set(re.findall(r"\w+(?=\s*\()", expression)) - FUNCTIONS
    assert set(re.findall(r"\[([^\]]*)\]", expression)) <= {"1m", "5m", "10m", "15m", "30m", "1h"}
    while (shorter := re.sub(r"\([^()]*\)|\[[^\[\]]*\]|{[^{}]*}", "", expression)) != expression:
        expression = shorter
    assert not re.search(r"[(){}\[\]\"]", expression)


def test_the_tests_of_the_rules_are_about_rules_and_metrics_that_exist() -> None:
    tried = yaml.safe_load((MONITORING / "alerts_test.yml").read_text("utf-8"))
    assert tried["rule_files"] == ["alerts.yml"]
    series = [one["series"] for test in tried["tests"] for one in test["input_series"]]
    names = {re.split(r"[{ ]", one)[0] for one in series}
    assert names - {"up"} <= real_names()
    asked = {one["alertname"] for test in tried["tests"] for one in test["alert_rule_test"]}
    known = {one["alert"] for one in rules()}
    assert asked <= known


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
