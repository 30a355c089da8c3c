from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from app.engine.client import EngineClient
from app.jobs.retention import count_old, prune
from app.kit.columns import utc_now
from app.main import create_app
from app.models import JobStatus, Simulation, Sweep
from planner.errors import InvalidRequest
from tests.app.conftest import wait_for
from tests.app.fakes import PREDICTION, body
from tests.app.test_simulations import finish

URL = "/v1/sweeps"
BATCHES = {"pointer": "/workload/batch_size", "values": [1, 2]}
LENGTHS = {"pointer": "/workload/sequence_length", "values": [8, 16, 32]}


def sweep_body(*axes, **fields):
    return {**body(), "vary": list(axes or (BATCHES, LENGTHS)), **fields}


def no_sixteen(request):
    """A check that refuses a length."""
    if request.workload.sequence_length == 16:
        raise InvalidRequest.at("/workload/sequence_length", "16 is not liked", "try another")
    return request


@pytest.fixture
def picky(settings):
    with TestClient(create_app(settings, check=no_sixteen), raise_server_exceptions=False) as it:
        yield it


class TestCreate:
    def test_each_combination_is_a_simulation_of_its_own(self, client):
        response = client.post(URL, json=sweep_body())
        assert response.status_code == 202
        sweep = response.json()
        assert response.headers["Location"] == f"{URL}/{sweep['id']}"
        assert sweep["status"] == "queued"
        assert sweep["counts"] == {"total": 6, "succeeded": 0, "failed": 0, "cancelled": 0}
        values = [tuple(point["values"].values()) for point in sweep["points"]]
        assert values == [(b, s) for b in (1, 2) for s in (8, 16, 32)]
        third = client.get(f"/v1/simulations/{sweep['points'][2]['simulation_id']}").json()
        assert third["request"]["workload"]["sequence_length"] == 32
        assert client.get(response.headers["Location"]).json() == sweep

    def test_a_worker_answers_all_of_them(self, client, start_worker):
        start_worker()
        created = client.post(URL, json=sweep_body()).json()
        sweep = wait_for(client, f"{URL}/{created['id']}", "succeeded")
        assert sweep["counts"]["succeeded"] == 6
        assert {p["peak_bytes"] for p in sweep["points"]} == {PREDICTION["peak_bytes"]}
        assert {p["step_seconds"] for p in sweep["points"]} == {PREDICTION["step_seconds"]}
        again = client.post(URL, json=sweep_body())
        assert again.status_code == 201, "all of it was in the store"
        assert again.json()["id"] != created["id"]
        ids = [[p["simulation_id"] for p in each["points"]] for each in (sweep, again.json())]
        assert ids[0] == ids[1]

    def test_numbers_beyond_32_bits_come_through(self, client, database):
        sweep = client.post(URL, json=sweep_body(BATCHES)).json()
        large = {"reserved_bytes": 2**41, "device_bytes": 2**42 + 1, "fits": False}
        for point in sweep["points"]:
            client.portal.call(finish, database, point["simulation_id"])
        prediction = {**PREDICTION, **large}

        async def write():
            async with database.write() as session:
                await session.execute(update(Simulation).values(prediction=prediction))

        client.portal.call(write)
        points = client.get(f"{URL}/{sweep['id']}").json()["points"]
        assert all(large.items() <= point.items() for point in points)

    def test_what_cannot_be_is_part_of_it_and_says_why(self, picky):
        sweep = picky.post(URL, json=sweep_body()).json()
        assert sweep["counts"]["failed"] == 2
        refused = [point for point in sweep["points"] if point["simulation_id"] is None]
        assert [point["values"]["/workload/sequence_length"] for point in refused] == [16, 16]
        assert refused[0]["status"] == "failed"
        assert refused[0]["problem"]["errors"][0]["remedy"] == "try another"

    @pytest.mark.parametrize(
        ("axes", "pointer"),
        [
            ([{**LENGTHS, "values": [16]}], "/workload/sequence_length"),
            ([BATCHES, BATCHES], "/vary"),
            ([{"pointer": "/nowhere/at/all", "values": [1]}], "/vary"),
            ([{"pointer": "/workload/batch_size", "values": [0]}], "/workload/batch_size"),
            (
                [
                    {"pointer": "/workload/batch_size", "values": [*range(1, 65)]},
                    {"pointer": "/workload/target_length", "values": [*range(1, 6)]},
                ],
                "/vary",
            ),
            ([{"pointer": "/device", "values": ["abacus"]}], "/device"),
        ],
    )
    def test_what_is_wrong_as_a_whole_is_refused(self, picky, axes, pointer):
        response = picky.post(URL, json=sweep_body(*axes))
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == pointer
        assert picky.get(URL).json()["items"] == []
        assert picky.get("/v1/simulations").json()["items"] == []

    def test_a_sweep_without_axes_is_refused(self, client):
        response = client.post(URL, json=body())
        assert response.json()["errors"][0]["pointer"] == "/vary"

    def test_a_repeated_key_finds_the_same_sweep(self, client):
        headers = {"Idempotency-Key": "once"}
        first = client.post(URL, json=sweep_body(), headers=headers).json()["id"]
        assert client.post(URL, json=sweep_body(), headers=headers).json()["id"] == first
        other = client.post(URL, json=sweep_body(BATCHES), headers=headers)
        assert other.status_code == 422


class TestRead:
    def test_it_is_running_until_all_have_ended(self, client, database):
        sweep = client.post(URL, json=sweep_body(BATCHES)).json()
        first, second = (point["simulation_id"] for point in sweep["points"])
        client.portal.call(finish, database, first)
        response = client.get(f"{URL}/{sweep['id']}")
        assert response.json()["status"] == "running"
        tag = {"If-None-Match": response.headers["ETag"]}
        assert client.get(f"{URL}/{sweep['id']}", headers=tag).status_code == 304
        client.portal.call(finish, database, second, JobStatus.FAILED)
        response = client.get(f"{URL}/{sweep['id']}", headers=tag)
        assert response.json()["status"] == "succeeded"
        assert response.json()["points"][1]["problem"]["type"] == "step-failed"

    def test_the_list_has_no_points_and_filters_by_status(self, client, database):
        done = client.post(URL, json=sweep_body(BATCHES)).json()
        for point in done["points"]:
            client.portal.call(finish, database, point["simulation_id"])
        other = {"batch_size": 7}
        waiting = client.post(URL, json=sweep_body(LENGTHS, workload=other)).json()
        items = client.get(URL).json()["items"]
        assert [item["id"] for item in items] == [waiting["id"], done["id"]]
        assert "points" not in items[0]
        for status, expected in (("queued", waiting), ("succeeded", done)):
            found = client.get(URL, params={"status": status}).json()["items"]
            assert [item["id"] for item in found] == [expected["id"]]
        page = client.get(URL, params={"limit": 1}).json()
        rest = client.get(URL, params={"limit": 1, "cursor": page["next_cursor"]}).json()
        assert [item["id"] for item in rest["items"]] == [done["id"]]

    def test_there_is_no_other(self, client):
        for sweep_id in ("sweep_" + "0" * 28, "sim_" + "0" * 28, "x"):
            assert client.get(f"{URL}/{sweep_id}").status_code == 404
            assert client.delete(f"{URL}/{sweep_id}").status_code == 404


class TestDelete:
    def test_cancelling_spares_what_was_asked_for_before(self, client):
        before = client.post("/v1/simulations", json=body()).json()["id"]
        sweep = client.post(URL, json=sweep_body(BATCHES)).json()
        assert sweep["points"][1]["simulation_id"] == before
        cancelled = client.delete(f"{URL}/{sweep['id']}").json()
        assert cancelled["status"] == "cancelled"
        assert [point["status"] for point in cancelled["points"]] == ["cancelled", "queued"]
        assert client.get(f"/v1/simulations/{before}").json()["status"] == "queued"

    def test_simulations_outlive_their_sweep_but_not_the_other_way_round(self, client, database):
        sweep = client.post(URL, json=sweep_body(BATCHES)).json()
        ids = [point["simulation_id"] for point in sweep["points"]]
        for each in ids:
            client.portal.call(finish, database, each)
        refused = client.delete(f"/v1/simulations/{ids[0]}")
        assert refused.status_code == 409
        assert "sweeps" in refused.json()["detail"]
        assert client.delete(f"{URL}/{sweep['id']}").status_code == 204
        assert client.get(f"{URL}/{sweep['id']}").status_code == 404
        assert client.delete(f"/v1/simulations/{ids[0]}").status_code == 204

    async def test_old_ones_are_pruned_with_their_simulations(self, client, database, settings):
        for axes in ([BATCHES], [LENGTHS]):
            for point in client.post(URL, json=sweep_body(*axes)).json()["points"]:
                await finish(database, point["simulation_id"])
        newest = client.get(URL).json()["items"][0]["id"]
        long_ago = utc_now() - timedelta(days=100)
        async with database.write() as session:
            await session.execute(update(Simulation).values(finished_at=long_ago))
            old = update(Sweep).where(Sweep.id != newest)
            await session.execute(old.values(created_at=long_ago))
        engine, before = EngineClient(settings.url), utc_now() - timedelta(days=90)
        counted = await count_old(database, before)
        assert (counted["sweep"], counted["simulation"]) == (1, 1), "8 tokens are in both"
        pruned = await prune(database, engine, before)
        await engine.close()
        assert (pruned["sweep"], pruned["simulation"]) == (1, 1)
        assert [item["id"] for item in client.get(URL).json()["items"]] == [newest]
