"""What a worker on a card says of itself, and what is known of the card's device afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.engine.attachment import attach, detach, drain, heartbeat
from app.engine.machine import describe_worker
from app.models import Simulation, Worker
from profiler import nvml
from profiler.nvml import Gpu
from tests.app.fakes import body
from tests.app.test_simulations import finish

H100 = Gpu(0, "GPU-a", "NVIDIA H100 80GB HBM3", 85 * 10**9, "9.0", "580.105.08")
ABACUS = replace(H100, uuid="GPU-b", name="NVIDIA Abacus")
MEASURED = {
    "context_bytes": 400 * 2**20,
    "context_notes": ["the whole card gained"],
    "cuda": "13.0",
}


def on(card, **labels):
    described = describe_worker(labels, None, card)
    return replace(described, device={**described.device, **MEASURED})


def test_a_worker_without_a_card_is_the_cpu_of_the_machine(monkeypatch):
    monkeypatch.setattr(nvml, "gpus", lambda: [H100])
    found = describe_worker(None, None)
    assert found.labels == {"device": "cpu"}
    assert found.simulates


async def test_a_worker_on_a_card_shows_what_it_is_and_what_a_context_takes(client, database):
    await attach(database, "w", on(H100, room="east"))
    (worker,) = client.get("/v1/workers").json()["items"]
    assert worker["labels"] == {
        "device": "cuda",
        "device_name": "NVIDIA H100 80GB HBM3",
        "architecture": "sm_90",
        "profile": "h100-80gb",
        "room": "east",
    }
    assert not worker["simulates"]
    assert worker["device"]["uuid"] == "GPU-a"
    assert worker["device"]["context_bytes"] == 400 * 2**20
    context = client.get("/v1/devices/h100-80gb").json()["context_bytes"]
    assert context["measured"]
    assert context["low_bytes"] == context["high_bytes"] == 400 * 2**20
    for words in ("worker w", "580.105.08", "CUDA 13.0", "whole card"):
        assert words in context["source"]


async def test_a_card_without_a_profile_changes_no_device_unless_its_worker_names_one(
    client, database
):
    before = client.get("/v1/devices").json()
    await attach(database, "w", on(ABACUS))
    assert client.get("/v1/devices").json() == before
    await attach(database, "w", on(ABACUS, profile="l4"))
    assert client.get("/v1/devices/l4").json()["context_bytes"]["measured"]


@pytest.mark.parametrize(
    ("labels", "accepted"), [(None, False), ({}, False), ({"device": "cuda"}, True)]
)
async def test_a_run_wants_the_card_that_was_predicted_unless_labels_ask_for_another(
    client, database, labels, accepted
):
    simulation = client.post("/v1/simulations", json=body()).json()["id"]
    await finish(database, simulation)
    async with database.write() as session:
        (await session.get_one(Simulation, simulation)).device = "h100-80gb"
    await attach(database, "w", on(ABACUS))
    request = {"simulation_id": simulation, **({} if labels is None else {"labels": labels})}
    response = client.post("/v1/runs", json=request)
    assert (response.status_code == 202) == accepted
    if not accepted:
        (error,) = response.json()["errors"]
        assert "profile=h100-80gb" in error["detail"]
        assert "NVIDIA Abacus" in error["remedy"]
        await attach(database, "v", on(H100))
        response = client.post("/v1/runs", json=request)
        assert response.json()["labels"] == {"device": "cuda", "profile": "h100-80gb"}


def the_worker(client):
    (worker,) = client.get("/v1/workers").json()["items"]
    return worker


async def test_states_of_a_worker_that_works_and_leaves(client, database):
    await attach(database, "w", describe_worker(None, None))
    assert the_worker(client)["state"] == "online"
    await heartbeat(database, "w", ["sim_1"])
    assert the_worker(client)["state"] == "busy"
    assert client.get("/readyz").json()["workers_online"] == 1
    await drain(database, "w")
    await heartbeat(database, "w", ["sim_1"])
    assert the_worker(client)["state"] == "draining"
    assert client.get("/readyz").json()["workers_online"] == 0
    await detach(database, "w")
    assert the_worker(client)["state"] == "offline"


async def test_a_worker_of_other_versions_is_told_apart(client, database):
    await attach(database, "w", describe_worker(None, None))
    assert the_worker(client)["differs_in"] == []
    async with database.write() as session:
        worker = await session.get(Worker, "w")
        worker.versions = {**worker.versions, "torch": "2.12.0"}
    assert the_worker(client)["differs_in"] == ["torch"]
