"""The README's walk-through, run as it is printed, against a real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import networkx
import pytest

README = Path(__file__).parent.parent.parent / "README.md"
# All blocks run in the set-up of the first test.
pytestmark = pytest.mark.timeout(500)

MARKED = re.compile(r"<!-- walk-through.*?-->\n```bash\n(.*?)```", re.S)


@pytest.fixture(scope="module")
def walk_through(service, tmp_path_factory):
    """What each block printed, and the folder it ran in."""
    if shutil.which("curl") is None:
        pytest.skip("the walk-through needs curl")
    folder = tmp_path_factory.mktemp("walk-through")
    blocks = MARKED.findall(README.read_text())
    script = "set -euo pipefail\n" + "echo '---8<---'\n".join(blocks)
    # The address is the only thing that is not as printed.
    assert script.count("http://127.0.0.1:8000") == 1
    finished = subprocess.run(
        ["bash", "-c", script.replace("http://127.0.0.1:8000", service.url)],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=420,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split("---8<---\n"), folder


def test_the_simulation_is_printed_with_categories_that_add_up(walk_through):
    printed, _ = walk_through
    prediction = json.loads(printed[0])["prediction"]
    assert sum(prediction["at_peak"].values()) == prediction["peak_bytes"]


def test_timeline_and_graph_are_what_they_are_said_to_be(walk_through):
    _, folder = walk_through
    simulation = json.loads((folder / "simulation.json").read_text())
    timeline = json.loads((folder / "timeline.json").read_text())
    assert max(timeline["total_bytes"]) == simulation["prediction"]["peak_bytes"]
    assert len(timeline["event"]) <= 100
    graph = networkx.node_link_graph(json.loads((folder / "graph.json").read_text()), edges="edges")
    assert networkx.is_directed(graph)
    assert len(networkx.read_graphml(folder / "graph.graphml")) == len(graph)


def test_the_run_stands_beside_its_prediction(walk_through):
    printed, _ = walk_through
    run = json.loads(printed[2])
    assert run["status"] == "succeeded"
    assert [phase["name"] for phase in run["phases"]][:2] == ["step0.forward", "step0.backward"]
    measured, predicted = run["measured"]["peak_bytes"], run["predicted"]["peak_bytes"]
    assert run["relative_error"] == pytest.approx((predicted - measured) / measured)
    assert abs(run["relative_error"]) < 0.01


def test_a_card_is_asked_about_without_one(walk_through):
    printed, folder = walk_through
    prediction = json.loads((folder / "gpu.json").read_text())["prediction"]
    assert prediction["fits"] is False
    assert prediction["out_of_memory"]["phase"] in {phase["name"] for phase in prediction["phases"]}
    assert printed[3].startswith("False")


def test_the_plan_is_within_its_budget_and_its_run_proves_it(walk_through):
    _, folder = walk_through
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["feasible"]
    assert plan["prediction"]["peak_bytes"] <= plan["budget_bytes"] < plan["baseline"]["peak_bytes"]
    run = json.loads((folder / "plan-run.json").read_text())
    assert run["status"] == "succeeded"
    assert abs(run["relative_error"]) < 0.001
    assert run["measured"]["peak_bytes"] < run["baseline"]["measured"]["peak_bytes"]
    assert run["gradients_match"]["match"]


def test_the_wrong_request_is_told_field_and_remedy(walk_through):
    printed, _ = walk_through
    problem = json.loads(printed[5])
    assert problem["status"] == 422
    pointers = {error["pointer"]: error["remedy"] for error in problem["errors"]}
    assert "/workload/batch_size" in pointers
    assert all(pointers.values())


def test_the_commands_print_their_tables(walk_through):
    printed, _ = walk_through
    assert "At the peak" in printed[6]
    assert "whole workload" in printed[6]
    assert "Certified by simulation" in printed[6]
