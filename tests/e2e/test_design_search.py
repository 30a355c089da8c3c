"""A design search through a real server and a real worker."""

from __future__ import annotations

import httpx2
import pytest

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


def searched(client, **fields):
    response = client.post(
        "/v1/design-searches", json=SPACE | fields, headers={"Prefer": "wait=200"}
    )
    search = response.json()
    assert search["status"] == "succeeded", search
    return search


def test_the_best_design_is_found_kept_and_found_again(client):
    search = searched(client)
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
    whole = searched(client, seed=1, evaluations=12)
    assert whole["stored"] == 5
    assert whole["evaluations"] == 3
    assert whole["refused"] == 4
    assert whole["random_search"]["basis"] == "simulated"
    assert whole["best_value"] >= search["best_value"]


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
