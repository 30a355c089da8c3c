"""What the dashboard and the alerts ask Prometheus."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.app.conftest import ROOT

DASHBOARD = ROOT / "deploy" / "grafana" / "headroom.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"


def panels() -> list[dict[str, Any]]:
    """Panels and rows of the dashboard."""
    return json.loads(DASHBOARD.read_text())["panels"]


def queries() -> list[str]:
    """Every query of the dashboard."""
    return [target["expr"] for panel in panels() for target in panel.get("targets", [])]


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [
        rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    ]
