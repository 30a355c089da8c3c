"""A design search through a real server and a real worker, by the command and by the client."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx2
import pytest

from headroom_client import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

SPACE = {
    "model": {
        "source": "transformers",
        "task": "fill-mask",
        "config": {"model_type": "bert", "vocab_size": 500, "intermediate_size": 64},
    },
    "workload": {"mode": "train", "batch_size": 2, "sequence_length": 16},
    "transformer": {"hidden": [32, 48, 64], "heads": [2, 3], "layers": [1, 2]},
    "objective": "score",
    "constraints": {"peak_bytes": "2MiB"},
    "evaluations": 5,
}


@pytest.fixture
def client(service):
    with httpx2.Client(base_url=service.url, timeout=250) as client:
        yield client


def headroom(url, *arguments, **options):
    command = [sys.executable, "-m", "app.cli", *arguments, "--server", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, **options)


def test_the_best_design_is_found_kept_and_found_again(service, client):
    finished = headroom(service.url, "design-search", "-", "--json", input=json.dumps(SPACE))
    assert finished.returncode == 0, finished.stderr
    search = json.loads(finished.stdout)
    best = search["best"]
    assert search["evaluations"] == 5
    assert search["feasible"] is True
    assert best["metrics"]["peak_bytes"] <= 2 * 2**20
    scores = [each["metrics"]["score"] for each in search["designs"] if each["feasible"]]
    assert search["best_value"] == max(scores)

    simulation = client.get(f"/v1/simulations/{best['simulation_id']}").json()
    assert simulation["prediction"]["peak_bytes"] == best["metrics"]["peak_bytes"]
    config = simulation["request"]["model"]["config"]
    assert config["hidden_size"] == best["choices"]["/model/config/hidden_size"]

    # What is best by prediction is so for real.
    body = {"simulation_id": best["simulation_id"]}
    run = client.post("/v1/runs", json=body, headers={"Prefer": "wait=120"}).json()
    assert run["status"] == "succeeded", run
    assert abs(run["relative_error"]) <= 0.001

    # Three heads for a width of 32 or 64 cannot be built: nothing is simulated for it.
    with Client(service.url) as asking:
        asked = {**SPACE, "seed": 1, "evaluations": 12}
        whole = asking.search_designs(asked)
        newest = [each.id for each in asking.list_design_searches()][:2]
        assert newest == [whole.id, search["id"]]
        assert asking.get_design_search(whole.id) == whole
    assert (whole.stored, whole.evaluations, whole.refused) == (5, 3, 4)
    assert whole.random_search.basis == "simulated"
    assert whole.best_value == whole.best.metrics.score >= search["best_value"]

    listed = headroom(service.url, "design-searches")
    assert listed.returncode == 0, listed.stderr
    shown = headroom(service.url, "design-searches", whole.id)
    assert "12 designs simulated" in shown.stdout


def test_a_search_is_cancelled_and_then_deleted(client):
    response = client.post(
        "/v1/design-searches",
        json=SPACE | {"seed": 2, "workload": {"sequence_length": 32}, "evaluations": 8},
        headers={"Prefer": "respond-async"},
    )
    assert response.status_code == 202
    location = response.headers["Location"]
    assert client.delete(location).json()["status"] == "cancelled"
    assert client.get(location).json()["status"] == "cancelled"
    assert client.delete(location).status_code == 204
