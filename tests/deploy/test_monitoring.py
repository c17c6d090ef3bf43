"""What is shipped for Prometheus and Grafana names only metrics, labels and values that exist, and is told in the docs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import generate_latest

from server.metrics.definition import Kind
from server.metrics.definitions import DEFINITIONS
from server.metrics.exposition import Exposition
from server.metrics.gateway_metrics import GatewayMetrics
from server.metrics.loop_lag import LoopLag
from server.metrics.server_metrics import ServerMetrics
from tests.support.clock import FakeClock

PROJECT = Path(__file__).parents[2]
PROMETHEUS = PROJECT / "deploy/prometheus"
PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool, of Prometheus, is not on the PATH")

BY_NAME = {definition.name: definition for definition in DEFINITIONS}
# What Prometheus adds to every sample.
_ADDED: Final = {"instance", "job"}
_METRIC: Final = re.compile(r"\b(techaura_sync_\w+)(?:\{([^}]*)\})?")
_GROUPED: Final = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
STORIES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
DASHBOARD: dict[str, Any] = json.loads((PROJECT / "deploy/grafana/dashboard.json").read_text())


def exposition() -> Exposition:
    """Every metric of a process that needs no database, as it stands at the start."""
    made = Exposition()
    ServerMetrics(made.registry, queue_runs_max=10)
    GatewayMetrics(made.registry)
    LoopLag(made.registry, FakeClock())
    return made


def values_at_the_start() -> dict[tuple[str, str], set[str]]:
    """By metric and label, the values whose series are there from the start."""
    found: dict[tuple[str, str], set[str]] = {}
    for family in exposition().registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault((sample.name, label), set()).add(value)
    return found


def base_of(name: str) -> str:
    """The metric of a sample's name."""
    for suffix in ("_bucket", "_sum", "_count"):
        stem = name.removesuffix(suffix)
        if stem != name and stem in BY_NAME and BY_NAME[stem].kind is Kind.HISTOGRAM:
            return stem
    return name


def faults_of(expression: str) -> Iterator[str]:
    """What an expression names that does not exist."""
    known = values_at_the_start()
    groups: set[str] = set()
    for name, matchers in _METRIC.findall(expression):
        base = base_of(name)
        if base not in BY_NAME:
            yield f"no metric {name}"
            continue
        labels = {*BY_NAME[base].labels, *_ADDED} | ({"le"} if name.endswith("_bucket") else set())
        groups |= labels
        for label, sign, value in _MATCHER.findall(matchers):
            if label not in labels:
                yield f"{name} has no label {label}"
            elif sign == "=" and value not in known.get((name, label), {value}):
                yield f"{name} never has {label}={value}"
    for group in _GROUPED.findall(expression):
        yield from (f"no label {label}" for label in re.split(r",\s*", group) if label not in groups)


def panels(of: dict[str, Any] = DASHBOARD) -> Iterator[dict[str, Any]]:
    for panel in of["panels"]:
        yield panel
        yield from panels(panel) if "panels" in panel else ()


def test_the_faults_of_an_expression_are_found() -> None:
    assert list(faults_of("rate(techaura_sync_nothing_total[5m])")) == ["no metric techaura_sync_nothing_total"]
    assert list(faults_of('techaura_sync_queue_runs{kind="x"}')) == ["techaura_sync_queue_runs has no label kind"]
    assert list(faults_of('techaura_sync_runs_ended_total{ending="gone"}')) == [
        "techaura_sync_runs_ended_total never has ending=gone"
    ]
    assert list(faults_of("sum by (color) (techaura_sync_runs)")) == ["no label color"]
    assert list(faults_of("sum by (le, instance) (rate(techaura_sync_rpc_duration_seconds_bucket[5m]))")) == []
    assert list(faults_of("techaura_sync_runs_bucket")) == ["no metric techaura_sync_runs_bucket"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_names_what_exists_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert list(faults_of(rule["expr"])) == []
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, section = rule["annotations"]["runbook"].partition("#")
    titles = re.findall(r"^### (\w+)$", (PROJECT / page).read_text(), re.MULTILINE)
    assert section == rule["alert"].lower()
    assert rule["alert"] in titles


def test_every_section_of_an_alert_is_of_one_that_exists() -> None:
    page = (PROJECT / "docs/operations.md").read_text().partition("## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


def test_every_alert_has_a_story_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    told = {(one["alertname"], bool(one["exp_alerts"])) for story in STORIES for one in story["alert_rule_test"]}
    assert told == {(rule["alert"], fires) for rule in ALERTS for fires in (True, False)}


def test_the_stories_are_of_series_that_exist() -> None:
    series = [one["series"] for story in STORIES for one in story["input_series"]]
    assert [fault for one in series for fault in faults_of(one)] == []


def test_the_dashboard_names_what_exists() -> None:
    expressions = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    assert len(expressions) > 30
    assert [fault for one in expressions for fault in faults_of(one)] == []


def test_a_legend_of_the_dashboard_names_labels_that_its_expression_keeps() -> None:
    for panel in panels():
        for target in panel.get("targets", ()):
            kept = {label for group in _GROUPED.findall(target["expr"]) for label in re.split(r",\s*", group)}
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert named <= kept or target["expr"].startswith("process_"), panel["title"]


def test_the_dashboard_and_the_alerts_show_every_metric() -> None:
    texts = [json.dumps(DASHBOARD), *(rule["expr"] for rule in ALERTS)]
    shown = {base_of(name) for text in texts for name, _matchers in _METRIC.findall(text)}
    assert set(BY_NAME) - shown == {
        "techaura_sync_http_connections_refused_total",
        "techaura_sync_rpc_started_total",
        "techaura_sync_schedule_fires_total",
        "techaura_sync_schedules_unobserved",
        "techaura_sync_waits_total",
    }


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_page_lists_every_metric_as_it_is_defined() -> None:
    page = (PROJECT / "docs/metrics.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `techaura_sync_")]
    assert rows == [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.text} |"
        for one in DEFINITIONS
    ]


def test_names_follow_the_conventions() -> None:
    assert len(BY_NAME) == len(DEFINITIONS)
    for one in DEFINITIONS:
        assert re.fullmatch(r"techaura_sync_[a-z][a-z_]*[a-z]", one.name)
        assert one.name.endswith("_total") is (one.kind is Kind.COUNTER), one.name
        assert (list(one.buckets) == sorted(set(one.buckets))) and bool(one.buckets) is (one.kind is Kind.HISTOGRAM)
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent|count)\b", one.name)


def test_two_servers_in_one_process_count_for_themselves() -> None:
    made = [Exposition(), Exposition()]
    first, _second = (ServerMetrics(one.registry, queue_runs_max=10) for one in made)
    first.run_claimed(is_takeover=True)
    assert [one.registry.get_sample_value("techaura_sync_takeovers_total") for one in made] == [1, 0]


def _promtool(*arguments: str | Path, cwd: Path = PROMETHEUS, text: bytes = b"") -> tuple[int, str]:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], cwd=cwd, input=text, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml"), ("check", "config", "prometheus.yml")],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments: Iterable[str]) -> None:
    code, said = _promtool(*arguments)
    assert code == 0, said


@needs_promtool
def test_promtool_finds_no_fault_in_what_is_exposed() -> None:
    code, said = _promtool("check", "metrics", text=generate_latest(exposition().registry))
    assert code == 0, said
