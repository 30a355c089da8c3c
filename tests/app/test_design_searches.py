from __future__ import annotations

import asyncio
import zlib

import numpy as np
import pytest
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from app.engine.design_search import DesignSearchJob
from app.engine.results import fill
from app.jobs import lifecycle
from app.main import create_app
from app.models import Artifact, JobStatus, Simulation
from planner.designs.capacity import drawn_capacity
from planner.designs.check import check_design_search
from planner.designs.request import DesignSearchRequest
from planner.tape import Category
from profiler.outcome import Outcome
from tests.app.fakes import PREDICTION, body
from tests.planner.tapes import tape_of

URL = "/v1/design-searches"
PROBLEM = {"type": "step-failed", "title": "The step fails", "detail": "as told"}


def search_body(**fields):
    """Twelve designs of a model whose peak is its width times its depth."""
    return {
        **body(),
        "vary": [
            {"pointer": "/model/config/width", "values": [1, 2, 4, 8]},
            {"pointer": "/model/config/depth", "values": [1, 2, 3]},
        ],
        "objective": "peak_bytes",
        "evaluations": 5,
        **fields,
    }


def tape(rows: int) -> bytes:
    """A tape with one matrix of a layer for parameter."""
    return tape_of(
        [0],
        [rows * 16],
        categories=[Category.parameters],
        names=["layer.0.weight"],
        layouts=[("float32", (rows, 4))],
        tensor_storage=np.array([0], dtype=np.int32),
        tensor_op=np.array([-1], dtype=np.int32),
        tensor_layout=np.array([0], dtype=np.int32),
        storage_name=np.array([0], dtype=np.int32),
    ).to_bytes()


class Simulator:
    """Simulates by arithmetic, and counts what it is asked."""

    def __init__(self, fails=lambda config: None):
        self.asked = []
        self.fails = fails

    async def __call__(self, request, device):
        config = request["model"]["config"]
        self.asked.append(config)
        if (problem := self.fails(config)) is not None:
            return Outcome("failed", problem=problem)
        peak = 1000 * config["width"] * config["depth"]
        result = {"prediction": {**PREDICTION, "peak_bytes": peak}}
        return Outcome("succeeded", result, artifacts={"tape": tape(config["width"])})


async def run(database, simulator, progress=None, owner=None, **fields):
    """What a worker does with a search, without the engine."""
    request = DesignSearchRequest.model_validate(search_body(**fields))
    told = progress.append if progress is not None else lambda message: None
    job = DesignSearchJob(database, request, simulator, told, owner=owner, shared=False)
    outcome = await job.outcome()
    assert outcome.status == "succeeded"
    return outcome.result


async def finish(database, job_id, result):
    outcome = Outcome("succeeded", result)
    async with database.write() as session:
        await lifecycle.claim(session, job_id, "nobody", 3)
        job = await lifecycle.lock(session, job_id)
        await lifecycle.finish(session, job, fill(job, outcome))


class TestHttp:
    def test_unfinished_work_is_accepted_and_everything_found_is_null(self, client):
        response = client.post(URL, json=search_body())
        assert response.status_code == 202
        search = response.json()
        assert response.headers["Location"] == f"{URL}/{search['id']}"
        assert search["id"].startswith("search_")
        assert search["best"] is search["feasible"] is search["designs"] is None
        assert search["request"]["evaluations"] == 5
        assert client.get(response.headers["Location"]).json() == search
        (item,) = client.get(URL, params={"objective": "peak_bytes"}).json()["items"]
        assert item["id"] == search["id"]
        assert client.get(URL, params={"objective": "score"}).json()["items"] == []

    async def test_what_was_found_stands_beside_the_state(self, client, database):
        search_id = client.post(URL, json=search_body()).json()["id"]
        await finish(database, search_id, await run(database, Simulator()))
        search = client.get(f"{URL}/{search_id}").json()
        assert (search["status"], search["feasible"]) == ("succeeded", True)
        assert search["best_value"] == search["best"]["metrics"]["peak_bytes"] == 1000
        assert search["space_size"] == 12
        assert search["evaluations"] == len(search["designs"]) == 5
        assert search["random_search"]["regret"] > 0
        assert "answer" not in search
        simulation = client.get(f"/v1/simulations/{search['best']['simulation_id']}").json()
        assert simulation["prediction"]["peak_bytes"] == 1000
        again = client.post(URL, json=search_body())
        assert (again.status_code, again.json()["id"]) == (200, search_id)
        assert client.post(URL, json=search_body(seed=1)).json()["id"] != search_id

    async def test_only_what_the_owner_sees_is_learnt_from(self, client, database):
        await run(database, Simulator(), owner="x")
        assert (await run(database, Simulator(), owner="y"))["answer"]["stored"] == 0
        async with database.write() as session:
            await session.execute(update(Simulation).values(shared=Simulation.owner == "x"))
        assert (await run(database, Simulator(), owner="z"))["answer"]["stored"] == 5

    async def test_designs_found_are_simulations_like_any_other(self, client, database):
        found = await run(database, Simulator())
        simulation_id = found["answer"]["best"]["simulation_id"]
        asked = client.get(f"/v1/simulations/{simulation_id}").json()["request"]
        again = client.post("/v1/simulations", json=asked)
        assert (again.status_code, again.json()["id"]) == (200, simulation_id)
        assert client.get(f"/v1/simulations/{simulation_id}/timeline").status_code == 200
        assert client.delete(f"/v1/simulations/{simulation_id}").status_code == 204

    async def test_an_unfinished_search_is_cancelled_and_a_finished_one_deleted(
        self, client, database
    ):
        first = client.post(URL, json=search_body()).json()["id"]
        assert client.delete(f"{URL}/{first}").json()["status"] == "cancelled"
        second = client.post(URL, json=search_body()).json()["id"]
        assert second != first
        await finish(database, second, await run(database, Simulator()))
        assert client.delete(f"{URL}/{second}").status_code == 204
        assert client.get(f"{URL}/{second}").status_code == 404
        assert len(client.get("/v1/simulations").json()["items"]) == 5

    def test_a_key_makes_one_search_and_binds_to_its_body(self, client):
        headers = {"Idempotency-Key": "k"}
        first = client.post(URL, json=search_body(), headers=headers).json()["id"]
        assert client.post(URL, json=search_body(), headers=headers).json()["id"] == first
        other = client.post(URL, json=search_body(seed=3), headers=headers)
        assert other.json()["type"] == "idempotency-key-reused"

    def test_unknown_devices_are_refused_wherever_they_are_named(self, client):
        axis = {"pointer": "/device", "values": ["cpu", "abacus"]}
        response = client.post(URL, json=search_body(vary=[axis]))
        assert response.status_code == 422
        assert "abacus" in response.json()["errors"][0]["detail"]

    def test_wrong_spaces_are_refused(self, sqlite_settings):
        app = create_app(sqlite_settings, check_design_search=check_design_search)
        with TestClient(app) as client:
            asked = search_body()
            asked["model"]["config"] = {"model_type": "bert"}
            response = client.post(URL, json=asked)
            assert response.status_code == 422
            assert response.json()["errors"][0]["pointer"] == "/model/config/width"
            twice = [{"pointer": "/device", "values": ["cpu", "cpu"]}]
            response = client.post(URL, json=search_body(vary=twice))
            assert response.json()["errors"][0]["pointer"] == "/vary/0"


class TestSearch:
    async def test_progress_says_how_far_and_how_good(self, database):
        progress = []
        await run(database, Simulator(), progress)
        assert progress[0]["phase"] == "recall"
        assert [message["evaluations"] for message in progress] == [*range(6)]
        assert progress[-1]["best_value"] == 1000
        assert progress[-1]["best"] == {"/model/config/width": 1, "/model/config/depth": 1}

    async def test_another_search_of_the_space_learns_from_the_store(self, database):
        first, second = Simulator(), Simulator()
        await run(database, first)
        found = await run(database, second, objective="step_seconds", evaluations=4)
        assert found["answer"]["stored"] == 5
        assert not [config for config in second.asked if config in first.asked]
        async with database.read() as session:
            assert await session.scalar(select(func.count()).select_from(Simulation)) == 9
            assert await session.scalar(select(func.count()).select_from(Artifact)) == 9

    async def test_designs_that_fail_are_kept_and_learnt_from(self, database):
        def fails(config):
            return PROBLEM if config["width"] == 1 else None

        first, second = Simulator(fails), Simulator(fails)
        found = await run(database, first, evaluations=8)
        assert found["answer"]["best"]["choices"]["/model/config/width"] == 2
        failed = [design for design in found["answer"]["designs"] if not design["feasible"]]
        assert failed
        assert all(design["simulation_id"] for design in failed)
        assert not any(config["width"] == 1 for config in second.asked)
        found = await run(database, second, seed=1, evaluations=2)
        assert found["answer"]["stored"] == 8
        assert [d for d in found["answer"]["designs"] if d["violations"]]

    async def test_a_crash_is_no_reason_to_avoid_a_design_for_good(self, database):
        crash = {"type": "worker-crashed", "title": "The process ended", "detail": "killed"}
        await run(database, Simulator(lambda config: crash), evaluations=12)
        found = await run(database, Simulator(), seed=1, evaluations=12)
        assert found["answer"]["stored"] == 0
        assert found["answer"]["best"]["metrics"]["peak_bytes"] == 1000

    async def test_a_tape_of_another_format_is_not_learnt_from(self, database):
        await run(database, Simulator())
        async with database.write() as session:
            await session.execute(update(Artifact).values(content=zlib.compress(b"another")))
        found = await run(database, Simulator(), seed=1, evaluations=12)
        assert (found["answer"]["stored"], found["answer"]["evaluations"]) == (0, 12)

    async def test_what_breaks_a_limit_is_infeasible(self, database):
        # Alpha is a half, and the matrix of a design with width 4 is one of four rows.
        limits = {"score": drawn_capacity(4, 4) / 2}
        found = await run(database, Simulator(), constraints=limits, evaluations=12)
        best = found["answer"]["best"]
        assert best["choices"] == {"/model/config/width": 4, "/model/config/depth": 1}
        assert found["answer"]["random_search"]["basis"] == "simulated"

    async def test_a_design_that_is_no_request_is_refused_and_not_simulated(self, database):
        simulator = Simulator()
        axis = {"pointer": "/workload/batch_size", "values": [0, 1, 2]}
        vary = [*search_body()["vary"], axis]
        found = await run(database, simulator, vary=vary, evaluations=36)
        assert (found["answer"]["refused"], found["answer"]["stored"]) == (12, 0)
        assert len(simulator.asked) == 24

    async def test_cancelling_stops_the_design_at_hand(self, database):
        started = asyncio.Event()

        async def simulate(request, device):
            started.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(run(database, simulate))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_a_simulation_that_came_meanwhile_is_the_one(self, client, database):
        async def simulate(request, device):
            client.post("/v1/simulations", json=request)
            return await Simulator()(request, device)

        found = await run(database, simulate, evaluations=1)
        assert found["answer"]["best"]["simulation_id"] is not None
        (item,) = client.get("/v1/simulations").json()["items"]
        assert item["id"] == found["answer"]["best"]["simulation_id"]
        assert item["status"] == JobStatus.QUEUED
