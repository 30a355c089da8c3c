from __future__ import annotations

import pytest

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
