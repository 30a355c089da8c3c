from __future__ import annotations

import pytest

from app.devices.measured import remember_context
from app.models import JobStatus, Run
from planner.devices import BUILTIN
from tests.app.fakes import body

URL = "/v1/devices"
PROFILE = {"name": "my-cpu", "kind": "cpu", "memory_bytes": "24GiB"}


def test_a_posted_profile_stands_beside_the_built_in_ones_and_can_be_simulated(client):
    response = client.post(URL, json=PROFILE)
    assert response.status_code == 201
    device = client.get(response.headers["Location"]).json()
    assert device["memory_bytes"] == 24 * 2**30
    assert device["origin"] == "posted"
    origins = {item["name"]: item["origin"] for item in client.get(URL).json()["items"]}
    assert origins["cpu"] == "builtin"
    assert origins["my-cpu"] == "posted"
    assert client.post("/v1/simulations", json=body() | {"device": "my-cpu"}).status_code == 202


@pytest.mark.parametrize("name", ["cpu", "my-cpu"])
def test_a_profile_is_never_replaced(client, name):
    client.post(URL, json=PROFILE)
    response = client.post(URL, json={**PROFILE, "name": name})
    assert response.status_code == 409
    assert response.json()["type"] == "conflict"


def test_a_wrong_profile_names_its_field(client):
    (error,) = client.post(URL, json={**PROFILE, "memory_bytes": "a lot"}).json()["errors"]
    assert error["pointer"] == "/memory_bytes"
    assert "24GiB" in error["remedy"]


def test_a_profile_that_there_is_not(client):
    assert client.get(f"{URL}/abacus").status_code == 404
    assert client.get(f"{URL}/%00").status_code == 404


CARD = {
    "name": "my-card", "kind": "cuda", "architecture": "sm_90", "memory_bytes": "80GiB",
    "multiprocessors": 132,
}  # fmt: skip


def test_the_built_in_profiles_come_first_and_say_what_is_not_known_of_them(client):
    items = client.get(URL).json()["items"]
    assert [item["name"] for item in items] == list(BUILTIN)
    card = client.get(f"{URL}/h100-80gb").json()
    assert card in items
    assert card["architecture"] == "sm_90"
    assert card["context_bytes"]["measured"] is False
    assert card["limitations"]
    assert card["calibration"] == {}


def test_a_card_that_leaves_out_what_decides_its_kernels_is_refused_by_field(client):
    response = client.post(URL, json={"name": "my-card", "kind": "cuda"})
    assert response.status_code == 422
    errors = {error["pointer"]: error["remedy"] for error in response.json()["errors"]}
    assert set(errors) == {"/architecture", "/memory_bytes", "/multiprocessors"}
    assert all(errors.values())
    assert client.post(URL, json=CARD).status_code == 201


def test_an_unknown_device_is_refused_with_the_known_ones(client):
    response = client.post("/v1/simulations", json=body() | {"device": "abacus"})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == "/device"
    assert "h100-80gb" in error["remedy"]


async def test_the_last_context_that_a_worker_measured_stands(client, database):
    for measured in (400, 300):
        async with database.write() as session:
            await remember_context(session, "h100-80gb", measured, f"worker w: {measured}")
    found = client.get(f"{URL}/h100-80gb").json()["context_bytes"]
    assert (found["low_bytes"], found["high_bytes"], found["measured"]) == (300, 300, True)
    assert found["source"] == "worker w: 300"
    assert not client.get(f"{URL}/a100-80gb").json()["context_bytes"]["measured"]


async def test_succeeded_runs_calibrate_their_own_mode_by_the_median(client, database):
    ratios = [1.0, 9.0, 2.0]
    rows = [("train", JobStatus.SUCCEEDED, ratio) for ratio in ratios]
    rows += [("train", JobStatus.FAILED, 50.0), ("inference", JobStatus.SUCCEEDED, None)]
    simulation = client.post("/v1/simulations", json=body()).json()["id"]
    async with database.write() as session:
        for number, (mode, status, ratio) in enumerate(rows):
            session.add(
                Run(
                    id=f"run_{number}",
                    simulation_id=simulation,
                    status=status,
                    queue="q",
                    labels={},
                    device="cpu",
                    mode=mode,
                    predicted={},
                    seconds_ratio=ratio,
                )
            )
    assert client.get(f"{URL}/cpu").json()["calibration"] == {"train": {"ratio": 2.0, "runs": 3}}
    by_name = {item["name"]: item["calibration"] for item in client.get(URL).json()["items"]}
    assert by_name["cpu"]["train"]["runs"] == 3
    assert by_name["t4"] == {}
