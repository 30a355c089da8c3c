"""The HTTP guide of the documentation, typed into one shell as it is printed."""

from __future__ import annotations

import json
import shutil

import networkx
import pytest

from tests.documents.blocks import run_by, run_in_shell

(BLOCKS,) = run_by(__file__).values()
# All blocks run in the set-up of the first test.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def guide(service, tmp_path_factory):
    """What each block printed, and the folder it ran in."""
    if shutil.which("curl") is None:
        pytest.skip("the guide needs curl")
    folder = tmp_path_factory.mktemp("guide")
    return run_in_shell(BLOCKS, folder, service.url, 280), folder


@pytest.fixture
def read(guide):
    """A file that the guide wrote."""
    return lambda name: json.loads((guide[1] / name).read_text())


def test_the_simulation_is_printed_with_categories_that_add_up(guide):
    prediction = json.loads(guide[0][0])["prediction"]
    assert sum(prediction["at_peak"].values()) == prediction["peak_bytes"]


def test_timeline_peak_and_graph_are_what_they_are_said_to_be(guide, read):
    prediction = read("simulation.json")["prediction"]
    timeline = read("timeline.json")
    assert max(timeline["total_bytes"]) == prediction["peak_bytes"]
    assert len(timeline["event"]) <= 100
    assert len(read("peak.json")["tensors"]) == 5
    graph = networkx.node_link_graph(read("graph.json"), edges="edges")
    assert networkx.is_directed(graph)
    assert len(networkx.read_graphml(guide[1] / "graph.graphml")) == len(graph)


def test_what_was_not_waited_for_is_found_by_its_location(read):
    assert read("queued.json")["status"] in ("queued", "running")
    assert read("inference.json")["status"] == "succeeded"
    assert read("inference.json")["id"] == read("queued.json")["id"]


def test_the_run_stands_beside_its_prediction(guide):
    run = json.loads(guide[0][3])
    assert run["status"] == "succeeded"
    assert [phase["name"] for phase in run["phases"]][:2] == ["step0.forward", "step0.backward"]
    measured, predicted = run["measured"]["peak_bytes"], run["predicted"]["peak_bytes"]
    assert run["relative_error"] == pytest.approx((predicted - measured) / measured)
    assert abs(run["relative_error"]) < 0.01


def test_a_card_is_asked_about_without_one(guide, read):
    prediction = read("gpu.json")["prediction"]
    assert prediction["fits"] is False
    assert prediction["out_of_memory"]["phase"] in {phase["name"] for phase in prediction["phases"]}
    assert guide[0][4].startswith("False")


def test_the_plan_is_within_its_budget_and_its_run_proves_it(read):
    plan, run = read("plan.json"), read("plan-run.json")
    assert plan["feasible"]
    assert plan["prediction"]["peak_bytes"] <= plan["budget_bytes"] < plan["baseline"]["peak_bytes"]
    assert run["status"] == "succeeded"
    assert abs(run["relative_error"]) < 0.001
    assert run["measured"]["peak_bytes"] < run["baseline"]["measured"]["peak_bytes"]
    assert run["gradients_match"]["match"]


def test_a_point_that_cannot_be_has_a_problem(read):
    shorter, as_asked, too_long = read("sweep.json")["points"]
    assert shorter["peak_bytes"] < as_asked["peak_bytes"]
    assert too_long["problem"]["errors"][0]["pointer"] == "/workload/sequence_length"


def test_lists_find_what_was_made_and_what_is_deleted_is_gone(read, service):
    assert read("simulation.json")["id"] == read("runs.json")["items"][0]["simulation_id"]
    assert len(read("page.json")["items"]) == 2
    left = service.get("/v1/simulations", model_type="bert")["items"]
    assert read("inference.json")["id"] not in [each["id"] for each in left]


def test_the_wrong_request_is_told_field_and_remedy(guide):
    problem = json.loads(guide[0][-1])
    assert problem["status"] == 422
    pointers = {error["pointer"]: error["remedy"] for error in problem["errors"]}
    assert "/workload/batch_size" in pointers
    assert all(pointers.values())
