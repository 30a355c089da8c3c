from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.engine.attachment import attach
from app.engine.machine import describe_worker
from app.engine.results import fill
from app.jobs import artifacts, lifecycle
from app.main import create_app
from app.models import JobStatus
from planner.check import check, check_plan
from planner.errors import InvalidRequest
from profiler.outcome import Outcome
from tests.app.fakes import INFEASIBLE, PLAN, PROGRESS, STRATEGY, accept, plan_body
from tests.planner.tapes import tape_of

URL = "/v1/plans"
FOUND = (
    *("feasible", "budget_bytes", "strategy", "prediction", "baseline", "overhead", "frontier"),
    *("infeasible", "solved", "solver", "limitations"),
)


async def finish(database, job_id: str, found: dict | None = PLAN) -> None:
    """What a worker does, without one; None: it fails."""
    problem = {"type": "step-failed", "title": "t", "detail": "d"}
    outcome = Outcome("succeeded", {"plan": found}) if found else Outcome("failed", None, problem)
    async with database.write() as session:
        await lifecycle.claim(session, job_id, "nobody", 3)
        job = await lifecycle.lock(session, job_id)
        await lifecycle.finish(session, job, fill(job, outcome), outcome.problem)


def post(client, *arguments, **config) -> str:
    return client.post(URL, json=plan_body(*arguments, **config)).json()["id"]


class TestCreate:
    def test_unfinished_work_is_accepted_and_everything_found_is_null(self, client):
        response = client.post(URL, json=plan_body())
        assert response.status_code == 202
        plan = response.json()
        assert plan["id"].startswith("plan_")
        assert response.headers["Location"] == f"{URL}/{plan['id']}"
        assert response.headers["Retry-After"] == "1"
        assert "no worker" in plan["warnings"][0]
        assert {name: plan[name] for name in FOUND} == dict.fromkeys(FOUND)
        assert plan["request"]["budget"] == {"memory": 1200}
        assert plan["request"]["solver"] == "milp"
        assert client.get(response.headers["Location"]).json() == plan

    async def test_what_was_found_stands_beside_the_state(self, client, database):
        plan_id = post(client)
        await finish(database, plan_id)
        plan = client.get(f"{URL}/{plan_id}").json()
        assert plan["status"] == "succeeded"
        assert plan["feasible"] is True
        assert plan["budget_bytes"] == 1200
        assert plan["strategy"]["units"][0]["module"] == STRATEGY["units"][0]["module"]
        assert plan["prediction"]["peak_bytes"] == 1000
        assert plan["baseline"]["peak_bytes"] == 2000
        assert plan["overhead"]["step_seconds_ratio"] == 1.2
        assert plan["frontier"][0]["peak_bytes"] == 1000
        assert plan["infeasible"] is None
        assert plan["limitations"] == PLAN["limitations"]
        assert "plan" not in plan

    async def test_that_nothing_fits_is_an_answer_too(self, client, database):
        plan_id = post(client, memory=100)
        await finish(database, plan_id, INFEASIBLE)
        plan = client.get(f"{URL}/{plan_id}").json()
        assert (plan["status"], plan["feasible"]) == ("succeeded", False)
        assert plan["strategy"] is None
        assert plan["infeasible"]["smallest_budget_bytes"] == 900
        assert plan["infeasible"]["remedies"]

    async def test_the_same_request_is_answered_from_the_store(self, client, database):
        first = post(client)
        await finish(database, first)
        response = client.post(URL, json=plan_body(memory="1200B"))
        assert (response.status_code, response.json()["id"]) == (200, first)
        assert post(client, memory=1201) != first

    def test_a_plan_and_a_simulation_of_one_workload_are_two_things(self, client):
        body = plan_body()
        del body["budget"]
        plan = client.post(URL, json=body).json()["id"]
        simulation = client.post("/v1/simulations", json=body).json()["id"]
        assert client.get(f"{URL}/{simulation}").status_code == 404
        assert client.get(f"/v1/simulations/{plan}").status_code == 404

    async def test_what_failed_is_done_anew(self, client, database):
        first = post(client)
        await finish(database, first, None)
        assert client.get(f"{URL}/{first}").json()["problem"]["type"] == "step-failed"
        assert post(client) != first

    def test_identical_requests_at_once_share_one_row(self, client):
        with ThreadPoolExecutor(8) as pool:
            ids = set(pool.map(lambda _: post(client), range(16)))
        assert len(ids) == 1
        assert len(client.get(URL).json()["items"]) == 1

    async def test_what_finishes_within_the_wait_is_answered_whole(self, client, database):
        def wait():
            return client.post(URL, json=plan_body(), headers={"Prefer": "wait=20"})

        posting = asyncio.create_task(asyncio.to_thread(wait))
        while not (items := (await asyncio.to_thread(client.get, URL)).json()["items"]):
            await asyncio.sleep(0.02)
        await finish(database, items[0]["id"])
        response = await posting
        assert (response.status_code, response.json()["feasible"]) == (201, True)

    def test_a_key_makes_one_plan_and_binds_to_its_body(self, client):
        headers = {"Idempotency-Key": "k"}
        first = client.post(URL, json=plan_body(), headers=headers).json()["id"]
        assert client.post(URL, json=plan_body(), headers=headers).json()["id"] == first
        other = client.post(URL, json=plan_body(memory=5), headers=headers)
        assert other.json()["type"] == "idempotency-key-reused"
        # Keys of simulations are others.
        body = {name: value for name, value in plan_body().items() if name != "budget"}
        assert client.post("/v1/simulations", json=body, headers=headers).status_code == 202

    async def test_a_worker_that_simulates_takes_plans(self, client, database):
        await attach(database, "gpu", describe_worker({"device": "cuda"}, None))
        plan_id = post(client)
        assert client.get(f"{URL}/{plan_id}").json()["warnings"] != []
        await attach(database, "cpu", describe_worker(None, None))
        assert client.get(f"{URL}/{plan_id}").json()["warnings"] == []
        metrics = client.get("/metrics").text.splitlines()
        assert 'headroom_jobs{kind="plan",status="queued"} 1.0' in metrics
        assert 'headroom_queue_jobs{queue="plans",status="queued"} 1.0' in metrics


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"budget": {"memory": 0}}, "/budget/memory"),
            ({"budget": {"memory": -1}}, "/budget/memory"),
            ({"budget": {"memory": "a lot"}}, "/budget/memory"),
            ({"budget": {"memory": 1.5}}, "/budget/memory"),
            ({"budget": {"memory": 2**61}}, "/budget/memory"),
            ({"budget": 5}, "/budget"),
            ({"allow": ["magic"]}, "/allow/0"),
            ({"allow": ["offload", "offload"]}, ""),  # of the request as a whole
            ({"units": [""]}, "/units/0"),
            ({"solver": "guess"}, "/solver"),
            ({"frontier_points": 33}, "/frontier_points"),
            ({"solve_for": "money"}, "/solve_for"),
            ({"strategy": {}}, "/strategy"),
            ({"device": "abacus"}, "/device"),
        ],
    )
    def test_the_field_is_named_and_nothing_stored(self, client, change, pointer):
        response = client.post(URL, json=plan_body() | change)
        assert response.status_code == 422
        error = response.json()["errors"][0]
        assert error["pointer"] == pointer
        assert error["remedy"]
        assert client.get(URL).json()["items"] == []

    def test_a_budget_that_is_no_number(self, client):
        content = b'{"model": {"source": "preset", "name": "x"}, "budget": {"memory": NaN}}'
        headers = {"Content-Type": "application/json"}
        response = client.post(URL, content=content, headers=headers)
        assert (response.status_code, response.json()["type"]) == (400, "malformed-json")

    def test_what_the_check_refuses_is_not_stored(self, settings):
        def refuse(request):
            raise InvalidRequest.at("/units/0", "matches no module", "change it")

        app = create_app(settings, check=accept, check_plan=refuse)
        with TestClient(app) as client:
            response = client.post(URL, json=plan_body())
            assert response.status_code == 422
            assert response.json()["errors"][0]["pointer"] == "/units/0"
            assert client.get(URL).json()["items"] == []

    def test_the_real_check_reaches_the_model_and_the_mode(self, settings):
        app = create_app(settings, check=check, check_plan=check_plan)
        with TestClient(app) as client:
            body = plan_body()
            body["model"]["config"] = {"model_type": "gpt2", "n_head": 5}
            body["workload"]["mode"] = "inference"
            pointers = {error["pointer"] for error in client.post(URL, json=body).json()["errors"]}
            assert "/workload/mode" in pointers
            assert any(pointer.startswith("/model/config") for pointer in pointers)

    @pytest.mark.parametrize("query", ["feasible=maybe", "limit=0", "status=done", "colour=1"])
    def test_a_query_that_cannot_be_meant_names_its_parameter(self, client, query):
        response = client.get(f"{URL}?{query}")
        assert response.status_code == 422
        assert response.json()["errors"][0]["parameter"] == query.partition("=")[0]

    @pytest.mark.parametrize("name", ["plan_", "sim_" + "0" * 28, "%00", "plan_" + "0" * 28])
    def test_an_id_that_there_is_not(self, client, name):
        for path in ("", "/timeline", "/peak", "/graph", "/export?format=graphml"):
            assert client.get(f"{URL}/{name}{path}").status_code == 404, path
        assert client.delete(f"{URL}/{name}").status_code == 404


async def test_filters_of_the_list(client, database):
    fits, not_, queued = post(client), post(client, memory=100), post(client, memory=7)
    await finish(database, fits)
    await finish(database, not_, INFEASIBLE)

    def ids(**query):
        return [item["id"] for item in client.get(URL, params=query).json()["items"]]

    assert ids() == [queued, not_, fits]
    assert ids(feasible="true") == [fits]
    assert ids(feasible="false") == [not_]
    assert ids(status="queued") == [queued]
    assert ids(model_type="fake", mode="train", task="text-generation", device="cpu") == ids()
    assert ids(mode="inference") == []


async def test_an_unchanged_one_is_not_sent_again(client, database):
    location = f"{URL}/{post(client)}"
    tag = client.get(location).headers["ETag"]
    assert client.get(location, headers={"If-None-Match": tag}).status_code == 304
    await finish(database, location.rpartition("/")[2])
    assert client.get(location, headers={"If-None-Match": tag}).status_code == 200


async def test_progress_is_shown_and_streamed_with_the_frontier(client, database):
    from sqlalchemy import select

    from app.models import Event

    plan_id = post(client)
    async with database.write() as session:
        claim = await lifecycle.claim(session, plan_id, "w", 3)
    async with database.write() as session:
        await lifecycle.set_progress(session, plan_id, claim.attempt, PROGRESS)
    assert client.get(f"{URL}/{plan_id}").json()["progress"] == PROGRESS
    async with database.read() as session:
        events = (await session.scalars(select(Event).order_by(Event.id))).all()
    assert {event.kind for event in events} == {"plan"}
    assert events[-1].data["progress"]["frontier"] == PROGRESS["frontier"]


async def test_its_files_are_those_of_the_planned_step_and_of_its_runs(client, database):
    plan_id = post(client)
    await finish(database, plan_id)
    tape = tape_of([0, 1, ~0], [100, 50], op_events=[0, 1]).to_bytes()
    files = await artifacts.compress({artifacts.TAPE: tape})
    async with database.write() as session:
        await artifacts.save(session, plan_id, files)
    run_id = client.post("/v1/runs", json={"plan_id": plan_id}).json()["id"]
    assert client.get(f"{URL}/{plan_id}/timeline").status_code == 200
    for location in (f"{URL}/{plan_id}", f"/v1/runs/{run_id}"):
        assert len(client.get(f"{location}/graph").json()["nodes"]) == 2
        exported = client.get(f"{location}/export?format=graphml")
        assert exported.headers["content-disposition"].endswith(f'"{plan_id}.graphml"')
        arena = client.get(f"{location}/export?format=arena")
        assert arena.headers["content-type"].startswith("text/csv")
        assert arena.text.splitlines()[0] == "id,lower,upper,size,offset"


class TestDelete:
    def test_an_unfinished_one_is_cancelled_and_then_deleted(self, client):
        location = f"{URL}/{post(client)}"
        assert client.get(f"{location}/graph").status_code == 409
        response = client.delete(location)
        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
        assert client.delete(location).status_code == 204
        assert client.get(location).status_code == 404

    async def test_one_with_runs_is_not_deleted(self, client, database):
        plan_id = post(client)
        await finish(database, plan_id)
        run = client.post("/v1/runs", json={"plan_id": plan_id}).json()["id"]
        assert client.delete(f"{URL}/{plan_id}").status_code == 409
        for _ in range(2):
            client.delete(f"/v1/runs/{run}")
        assert client.delete(f"{URL}/{plan_id}").status_code == 204


async def test_a_cancelled_one_is_planned_anew(client, database):
    first = post(client)
    client.delete(f"{URL}/{first}")
    assert client.get(f"{URL}/{first}").json()["status"] == JobStatus.CANCELLED
    assert post(client) != first
