from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.engine.attachment import attach, detach
from app.engine.machine import describe_worker
from app.plans.planned import planned_simulation
from planner.plans import Plan as FoundPlan
from planner.plans import PlanRequest
from tests.app import test_plans
from tests.app.fakes import INFEASIBLE, PLAN, PREDICTION, STRATEGY, body, plan_body
from tests.app.test_simulations import finish

URL = "/v1/runs"


@pytest.fixture
async def simulation_id(client, database) -> str:
    simulation_id = client.post("/v1/simulations", json=body()).json()["id"]
    await finish(database, simulation_id)
    return simulation_id


def test_a_run_is_accepted_beside_its_prediction(client, simulation_id):
    response = client.post(URL, json={"simulation_id": simulation_id})
    assert response.status_code == 202
    run = response.json()
    assert run["simulation_id"] == simulation_id
    assert run["labels"] == {"device": "cpu"}
    assert run["predicted"]["peak_bytes"] == 1000
    assert run["measured"] is None
    assert client.get(URL, params={"simulation_id": simulation_id}).json()["items"] == [
        {**run, "warnings": [], "attempts": None}
    ]


def test_each_post_is_a_run_of_its_own_but_for_a_repeated_key(client, simulation_id):
    request = {"simulation_id": simulation_id}
    first = client.post(URL, json=request).json()["id"]
    assert client.post(URL, json=request).json()["id"] != first
    keyed = client.post(URL, json=request, headers={"Idempotency-Key": "a"}).json()["id"]
    again = client.post(URL, json=request, headers={"Idempotency-Key": "a"}).json()["id"]
    assert keyed == again


def test_a_simulation_with_runs_is_not_deleted(client, simulation_id):
    run = client.post(URL, json={"simulation_id": simulation_id}).json()["id"]
    response = client.delete(f"/v1/simulations/{simulation_id}")
    assert response.status_code == 409
    assert client.delete(f"{URL}/{run}").status_code == 200
    assert client.delete(f"{URL}/{run}").status_code == 204
    assert client.delete(f"/v1/simulations/{simulation_id}").status_code == 204


def test_running_and_deleting_a_simulation_at_once_never_fails(client, simulation_id):
    for _ in range(5):
        with ThreadPoolExecutor(2) as threads:
            run = threads.submit(client.post, URL, json={"simulation_id": simulation_id})
            gone = threads.submit(client.delete, f"/v1/simulations/{simulation_id}")
        outcome = run.result().status_code, gone.result().status_code
        assert outcome in {(202, 409), (422, 204)}
        if outcome == (422, 204):
            return


@pytest.mark.parametrize(
    ("request_", "pointer", "words"),
    [
        ({}, "/simulation_id", "add"),
        ({"simulation_id": "sim_no"}, "/simulation_id", "POST /v1/simulations"),
        ({"plan_id": "plan_x"}, "/plan_id", "POST /v1/plans"),
        ({"plan_id": "sim_" + "0" * 28}, "/plan_id", "POST /v1/plans"),
        ({"simulation_id": None}, "/simulation_id", "add"),
        ({"simulation_id": None, "plan_id": None}, "/simulation_id", "add"),
        ({"simulation_id": "sim_x", "plan_id": "plan_x"}, "/plan_id", "leave out"),
        ({"simulation_id": "sim_x", "labels": {"Device": "cpu"}}, "/labels/Device", ""),
        ({"simulation_id": "sim_x", "label": {}}, "/label", "labels"),
    ],
)
def test_a_wrong_request_names_its_field(client, request_, pointer, words):
    response = client.post(URL, json=request_)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == pointer
    assert words in error["remedy"]


def test_an_unfinished_simulation_cannot_be_run(client):
    simulation_id = client.post("/v1/simulations", json=body()).json()["id"]
    response = client.post(URL, json={"simulation_id": simulation_id})
    assert response.status_code == 409
    assert "queued" in response.json()["detail"]


class TestLabels:
    async def test_unknown_ones_are_refused_with_the_known(self, client, database, simulation_id):
        await attach(database, "w", describe_worker({"room": "blue"}, None))
        labels = {"room": "red"}
        response = client.post(URL, json={"simulation_id": simulation_id, "labels": labels})
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["pointer"] == "/labels"
        assert "device=cpu, room=blue" in error["remedy"]

    def test_another_device_than_the_simulations_is_refused(self, client, simulation_id):
        labels = {"device": "cuda"}
        response = client.post(URL, json={"simulation_id": simulation_id, "labels": labels})
        assert response.json()["errors"][0]["pointer"] == "/labels/device"

    async def test_an_online_worker_is_preferred_to_one_that_left(
        self, client, database, simulation_id
    ):
        await attach(database, "gone", describe_worker({"room": "blue"}, None))
        await detach(database, "gone")
        request = {"simulation_id": simulation_id, "labels": {"device": "cpu"}}
        assert client.post(URL, json=request).json()["warnings"] != []
        await attach(database, "here", describe_worker({"room": "red"}, None))
        assert client.post(URL, json=request).json()["warnings"] == []

    async def test_a_silent_worker_is_no_help(self, client, database, simulation_id, settings):
        await attach(database, "w", describe_worker(None, None))
        await asyncio.sleep(settings.worker_stale_s + 0.1)
        run = client.post(URL, json={"simulation_id": simulation_id}).json()
        assert run["warnings"] != []
        (worker,) = client.get("/v1/workers").json()["items"]
        assert worker["state"] == "lost"


class TestPlans:
    async def test_a_feasible_one_is_run_beside_its_certified_prediction(self, client, database):
        plan_id = test_plans.post(client)
        await test_plans.finish(database, plan_id)
        response = client.post(URL, json={"plan_id": plan_id})
        assert response.status_code == 202
        run = response.json()
        assert (run["plan_id"], run["simulation_id"]) == (plan_id, None)
        assert run["predicted"]["peak_bytes"] == PREDICTION["peak_bytes"]
        assert run["baseline"] is run["gradients_match"] is run["slowdown"] is None
        listed = client.get(URL, params={"plan_id": plan_id}).json()["items"]
        assert [item["id"] for item in listed] == [run["id"]]

    async def test_an_unfinished_or_infeasible_one_is_in_conflict(self, client, database):
        plan_id = client.post("/v1/plans", json=plan_body(memory=100)).json()["id"]
        response = client.post(URL, json={"plan_id": plan_id})
        assert response.status_code == 409
        assert "queued" in response.json()["detail"]
        await test_plans.finish(database, plan_id, INFEASIBLE)
        response = client.post(URL, json={"plan_id": plan_id})
        assert response.status_code == 409
        assert "fits" in response.json()["detail"]
        assert client.get(URL).json()["items"] == []

    def test_what_was_solved_for_is_what_is_run(self):
        def planned(field, value):
            solved = {**PLAN, "solved": {"field": field, "value": value}}
            request = PlanRequest.model_validate(plan_body())
            return planned_simulation(request, FoundPlan.model_validate(solved))

        assert planned("batch_size", 7).workload.batch_size == 7
        assert planned("sequence_length", 9).workload.sequence_length == 9
        assert planned("device", "other").device == "other"
        assert planned("device", "other").strategy.micro_batches == STRATEGY["micro_batches"]
        assert planned("device", "other").model.config["model_type"] == "fake"
