"""Dashboard, alerts and their documentation against what `/metrics` tells."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.engine.attachment import attach
from app.engine.machine import describe_worker
from tests.app.conftest import ROOT
from tests.app.fakes import body
from tests.app.telemetry.dashboards import DASHBOARD, alerts, panels, queries

METRIC = re.compile(r"\b(?:headroom|http|process)_[a-z_]+\b")
PROMETHEUS = ROOT / "deploy" / "prometheus"
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="NO PROMTOOL: install the package `prometheus` to check rules and configuration",
)


@pytest.fixture
async def told(client, database) -> set[str]:
    """Names of samples that a service with a worker tells after one call."""
    client.post("/v1/simulations", json=body())
    await attach(database, "w", describe_worker(None, None))
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {sample.name for family in families for sample in family.samples}


def metrics_in(text: str) -> set[str]:
    return set(METRIC.findall(text))


def test_the_dashboard_is_what_its_builder_writes():
    spec = importlib.util.spec_from_file_location("build", DASHBOARD.with_name("build.py"))
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    assert builder.build() == DASHBOARD.read_text(), "python deploy/grafana/build.py"


def test_panels_have_their_place_and_their_data_source():
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found) > 20
    cells = [
        (x, y)
        for position in (panel["gridPos"] for panel in found)
        for x, y in itertools.product(
            range(position["x"], position["x"] + position["w"]),
            range(position["y"], position["y"] + position["h"]),
        )
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert [variable["name"] for variable in variables] == ["datasource", "job"]
    for panel in found:
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestNames:
    def test_all_that_is_asked_for_is_told(self, told):
        for text in [*queries(), *(alert["expr"] for alert in alerts())]:
            asked = metrics_in(text)
            assert asked or text.startswith("up{")
            # What only a failure makes: there is no series of it before.
            assert asked - told <= {"headroom_job_problems_total"} | {
                name for name in asked if name.startswith("headroom_recent_")
            }

    def test_all_that_is_told_is_documented(self, told):
        page = (ROOT / "docs" / "observability.md").read_text()
        table = set(re.findall(r"^\| `([a-z_]+)[{`]", page, re.M))
        suffix = re.compile("_(bucket|sum|count|created)$")
        ours = {suffix.sub("", name) for name in told if name.startswith("headroom_")}
        only_then = {"headroom_job_problems_total"} | {
            name for name in table if name.startswith("headroom_recent_")
        }
        assert {name for name in table if name.startswith("headroom_")} == ours | only_then
        assert {"http_requests_total", "http_request_duration_seconds"} <= table


@promtool
class TestPromtool:
    def run(self, *arguments: str, cwd: Path = PROMETHEUS) -> None:
        checked = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout + checked.stderr

    def test_it_takes_the_rules(self):
        self.run("check", "rules", "alerts.yml")

    def test_it_takes_the_configuration(self, tmp_path):
        text = (PROMETHEUS / "prometheus.yml").read_text()
        key = yaml.safe_load(text)["scrape_configs"][0]["authorization"]["credentials_file"]
        (tmp_path / "headroom.key").write_text("hr_x")
        (tmp_path / "prometheus.yml").write_text(text.replace(key, str(tmp_path / "headroom.key")))
        shutil.copy(PROMETHEUS / "alerts.yml", tmp_path)
        self.run("check", "config", "prometheus.yml", cwd=tmp_path)

    def test_each_alert_fires_when_it_should_and_only_then(self):
        self.run("test", "rules", "alerts_test.yml", cwd=Path(__file__).parent)
