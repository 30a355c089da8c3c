"""The whole way through a real server, a real worker and real tensors."""

from __future__ import annotations

import time

import psutil
import pytest

from app.settings import Settings
from profiler.isolation.probe import probe
from tests.e2e.server import Server, end_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

SMALL = {
    "model": {
        "source": "transformers",
        "config": {
            "model_type": "gpt2",
            "n_layer": 2,
            "n_embd": 64,
            "n_head": 2,
            "vocab_size": 1000,
        },
    },
    "workload": {"batch_size": 2, "sequence_length": 32},
}
#: Takes seconds to run for real.
LONG = {
    "model": {
        "source": "transformers",
        "config": {"model_type": "gpt2", "n_layer": 4, "n_embd": 256, "n_head": 4},
    },
    "workload": {"batch_size": 2, "sequence_length": 128},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("data"))
    processes = server.descendants()
    yield server
    processes += server.descendants()
    server.stop()
    end_all(processes)


def succeeded(client, body) -> dict:
    response = client.post("/v1/simulations", json=body, headers={"Prefer": "wait=120"})
    simulation = response.json()
    assert simulation["status"] == "succeeded", simulation
    return simulation


def start_run(client, body) -> str:
    """A run that is under way; its location."""
    simulation = succeeded(client, body)
    run = client.post(
        "/v1/runs",
        json={"simulation_id": simulation["id"]},
        headers={"Prefer": "respond-async"},
    )
    assert run.status_code == 202
    return run.headers["Location"]


def status(client, location: str) -> str:
    return client.get(location).json()["status"]


def end_of(server: Server, location: str, seconds: float = 120) -> dict:
    """The resource when it has reached a final state."""
    final = ("succeeded", "failed", "cancelled", "out_of_memory")
    server.wait_until(lambda: status(server.client, location) in final, seconds)
    return server.client.get(location).json()


def test_a_gpu_is_simulated_without_one(server):
    client = server.client
    found = succeeded(client, SMALL | {"device": "h100-80gb"})
    prediction = found["prediction"]
    assert prediction["fits"] is True
    assert prediction["peak_bytes"] <= prediction["reserved_bytes"] < prediction["device_bytes"]
    assert prediction["at_peak"]["workspace"] >= 2 * 32 * 2**20  # cuBLAS, forward and backward
    series = client.get(f"/v1/simulations/{found['id']}/timeline").json()
    assert max(series["reserved_bytes"]) == prediction["reserved_bytes"]
    on_host = succeeded(client, SMALL)["prediction"]
    assert on_host["reserved_bytes"] is None
    assert on_host["fits"] is None


def test_a_worker_tells_how_its_jobs_are_shut_in(server):
    succeeded(server.client, SMALL)
    (worker,) = server.client.get("/v1/workers").json()["items"]
    assert worker["device"]["isolation"] == probe("auto").to_json()


def test_what_a_card_cannot_hold_says_where_memory_runs_out(server):
    config = {"model_type": "gpt2", "n_layer": 2, "n_embd": 8192, "n_head": 64}
    workload = {"batch_size": 1, "sequence_length": 64}
    model = {"source": "transformers", "config": config}
    body = {"model": model, "workload": workload, "device": "t4"}
    prediction = succeeded(server.client, body)["prediction"]
    assert prediction["fits"] is False
    assert prediction["out_of_memory"]["phase"].startswith("step0.")
    assert prediction["reserved_bytes"] > 15 * 2**30


def test_predicted_and_measured_side_by_side(server):
    client = server.client
    simulation = succeeded(client, SMALL)
    prediction = simulation["prediction"]
    assert sum(prediction["at_peak"].values()) == prediction["peak_bytes"]
    assert max(phase["peak_bytes"] for phase in prediction["phases"]) == prediction["peak_bytes"]

    again = client.post("/v1/simulations", json=SMALL)
    assert (again.status_code, again.json()["id"]) == (200, simulation["id"])

    response = client.post(
        "/v1/runs", json={"simulation_id": simulation["id"]}, headers={"Prefer": "wait=120"}
    )
    assert response.status_code == 201
    run = response.json()
    assert run["status"] == "succeeded", run
    assert run["predicted"]["peak_bytes"] == prediction["peak_bytes"]
    assert run["measured"]["peak_bytes"] > 0
    assert abs(run["relative_error"]) < 0.001
    assert [phase["name"] for phase in run["phases"]] == [
        phase["name"] for phase in prediction["phases"]
    ]
    assert run["worker"]["labels"] == {"device": "cpu"}
    assert run["environment"]

    timelines = client.get(f"/v1/runs/{run['id']}/timeline").json()
    assert max(timelines["measured"]["live_bytes"]) == run["measured"]["peak_bytes"]
    assert max(timelines["predicted"]["total_bytes"]) == prediction["peak_bytes"]


def test_the_graph_can_be_had_whole_collapsed_and_as_a_file(server):
    client = server.client
    location = f"/v1/simulations/{succeeded(client, SMALL)['id']}"
    whole = client.get(f"{location}/graph").json()
    collapsed = client.get(f"{location}/graph", params={"depth": 1}).json()
    assert 0 < len(collapsed["nodes"]) < len(whole["nodes"])
    file = client.get(f"{location}/export", params={"format": "graphml"})
    assert "graphml" in file.text[:500]
    assert "attachment" in file.headers["content-disposition"]


def test_a_wrong_configuration_is_refused_in_about_a_second(server):
    body = {"model": {"source": "transformers", "config": {"model_type": "no-such-model"}}}
    response = server.client.post("/v1/simulations", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/model/config/model_type"


def test_deleting_a_run_kills_its_process(server):
    location = start_run(server.client, LONG)
    server.wait_until(lambda: status(server.client, location) == "running")
    server.wait_until(lambda: server.client.get(location).json()["progress"])
    before = len(server.descendants())
    assert server.client.delete(location).json()["status"] == "cancelled"
    server.wait_until(lambda: len(server.descendants()) < before, seconds=10)


def test_the_worker_yields_to_the_api(server):
    ours = psutil.Process(server.process.pid).nice()
    assert server.worker().nice() == min(ours + Settings().worker_nice, 19)


def test_a_killed_worker_is_replaced_and_its_run_ends(server):
    location = start_run(server.client, LONG)
    server.wait_until(lambda: server.client.get(location).json()["progress"])
    worker = server.worker()
    children = worker.children(recursive=True)
    worker.kill()
    _, alive = psutil.wait_procs(children, 5)
    assert alive == []
    run = end_of(server, location)
    assert run["status"] == "succeeded", run["problem"]


def test_sigterm_takes_all_processes_down(tmp_path):
    server = Server(tmp_path)
    server.worker()
    processes = server.descendants()
    server.stop()
    assert server.process.returncode == 0
    _, alive = psutil.wait_procs(processes, 5)
    end_all(alive)
    assert alive == []


def test_what_was_accepted_survives_a_killed_server(tmp_path):
    server = Server(tmp_path)
    processes = server.descendants()
    headers = {"Prefer": "respond-async", "Idempotency-Key": "k"}
    location = server.client.post("/v1/simulations", json=SMALL, headers=headers).headers[
        "Location"
    ]
    worker = server.worker()
    processes += server.descendants()
    server.kill()
    try:
        # What the worker has at hand it finishes; then it ends by itself.
        worker.wait(60)
        with Server(tmp_path) as second:
            processes += second.descendants()
            simulation = end_of(second, location)
            assert simulation["status"] == "succeeded", simulation["problem"]
            again = second.client.post("/v1/simulations", json=SMALL, headers=headers)
            assert again.headers["Location"] == location
            processes += second.descendants()
    finally:
        end_all(processes)


def test_a_server_without_worker_accepts_and_says_what_it_waits_for(tmp_path):
    with Server(tmp_path, with_worker=False) as server:
        start = time.monotonic()
        response = server.client.post("/v1/simulations", json=SMALL, headers={"Prefer": "wait=1"})
        assert response.status_code == 202
        assert time.monotonic() - start >= 1
        assert "no worker" in response.json()["warnings"][0]
