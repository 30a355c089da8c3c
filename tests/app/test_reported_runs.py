from __future__ import annotations

import pytest

from tests.app.fakes import PREDICTION, body
from tests.app.test_simulations import finish

URL = "/v1/runs"
MEASURED = {"peak_bytes": 1250, "reserved_bytes": 2**41, "step_seconds": 0.5}


@pytest.fixture
async def simulation(client, database):
    posted = client.post("/v1/simulations", json=body()).json()["id"]
    await finish(database, posted)
    return posted


def test_what_was_measured_elsewhere_stands_beside_the_prediction(client, simulation):
    environment = {"versions": {"torch": "2.13.0"}, "device": "a card", "reported_by": "a test"}
    asked = {"simulation_id": simulation, "measured": MEASURED, "environment": environment}
    response = client.post(URL, json=asked)
    assert response.status_code == 201
    run = response.json()
    assert run["status"] == "succeeded"
    assert run["measured"]["peak_bytes"] == 1250
    assert run["measured"]["reserved_bytes"] == 2**41
    assert run["predicted"]["peak_bytes"] == PREDICTION["peak_bytes"]
    assert run["relative_error"] == (1000 - 1250) / 1250
    assert run["environment"] == environment
    assert run["worker"] is None
    assert "phases are not told apart" in run["measured"]["notes"][0]
    assert client.get(f"{URL}/{run['id']}").json()["id"] == run["id"]
    assert [item["id"] for item in client.get(URL).json()["items"]] == [run["id"]]


def test_it_calibrates_no_device(client, simulation):
    before = client.get("/v1/devices/cpu").json()
    client.post(URL, json={"simulation_id": simulation, "measured": MEASURED})
    assert client.get("/v1/devices/cpu").json() == before


def test_a_repeated_key_reports_once(client, simulation):
    asked = {"simulation_id": simulation, "measured": MEASURED}
    headers = {"Idempotency-Key": "once"}
    first, second = (client.post(URL, json=asked, headers=headers).json() for _ in range(2))
    assert first["id"] == second["id"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"environment": {}}, "/environment"),
        ({"measured": MEASURED, "labels": {"device": "cpu"}}, "/labels"),
        ({"measured": {"peak_bytes": -1}}, "/measured/peak_bytes"),
        ({"measured": {"peak_bytes": 2**60}}, "/measured/peak_bytes"),
        ({"measured": {}}, "/measured/peak_bytes"),
        ({"measured": {**MEASURED, "step_seconds": 0}}, "/measured/step_seconds"),
        ({"measured": MEASURED, "environment": {"secret": 1}}, "/environment/secret"),
    ],
)
def test_what_is_wrong_is_named(client, simulation, fields, pointer):
    response = client.post(URL, json={"simulation_id": simulation, **fields})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer
    assert client.get(URL).json()["items"] == []
