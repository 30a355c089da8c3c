"""What we rely on the job engine for. Real worker processes, a fake executor, both databases."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from app.engine.client import EngineClient
from app.engine.queues import SIMULATIONS, run_queue
from app.models import JobAttempt, Simulation
from tests.app.conftest import wait_for
from tests.app.fakes import PROGRESS, body, plan_body

URL = "/v1/simulations"


on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
"""For what does not depend on the database: it takes seconds."""

both = pytest.mark.parametrize("attachment", ["direct", "gateway"], indirect=True)
"""For what holds of a worker however it is attached."""


def post(client, *arguments, **config) -> str:
    return client.post(URL, json=body(*arguments, **config)).json()["id"]


async def attempts(database, job_id: str) -> list[str | None]:
    async with database.read() as session:
        found = await session.scalars(
            select(JobAttempt.outcome)
            .where(JobAttempt.job_id == job_id)
            .order_by(JobAttempt.number)
        )
        return list(found.all())


@pytest.fixture
async def engine(settings):
    engine = EngineClient(settings.url)
    yield engine
    await engine.close()


async def test_a_rolled_back_transaction_leaves_neither_row_nor_job(engine, database):
    class Undo(Exception):
        pass

    with pytest.raises(Undo):  # noqa: PT012
        async with database.write() as session:
            await engine.enqueue(session, "sim_x", SIMULATIONS)
            raise Undo
    assert await engine.ended(["sim_x"]) == {"sim_x": "MISSING"}


async def test_an_enqueued_job_is_alive_until_it_is_cancelled(engine, database):
    async with database.write() as session:
        await engine.enqueue(session, "sim_x", SIMULATIONS)
    assert await engine.ended(["sim_x"]) == {}
    await engine.cancel("sim_x")
    assert await engine.ended(["sim_x"]) == {"sim_x": "CANCELLED"}
    await engine.delete("sim_x")
    assert await engine.ended(["sim_x"]) == {"sim_x": "MISSING"}


@both
async def test_jobs_are_done_by_a_worker_with_the_labels(client, database, start_worker):
    """One test for what needs a worker that lives: starting one takes seconds."""
    start_worker("--id", "plain")
    start_worker("--id", "blue", "--label", "room=blue", "--label", "device=cuda")
    simulation_id = post(client)
    done = wait_for(client, f"{URL}/{simulation_id}", "succeeded")
    assert done["prediction"]["peak_bytes"] == 1000
    assert await attempts(database, simulation_id) == ["finished"]

    run = client.post("/v1/runs", json={"simulation_id": simulation_id}).json()
    run = wait_for(client, f"/v1/runs/{run['id']}", "succeeded")
    assert run["worker"]["id"] == "plain"
    assert run["measured"]["peak_bytes"] == 1250
    assert run["relative_error"] == pytest.approx(-0.2)
    assert [phase["relative_error"] for phase in run["phases"]] == [0, pytest.approx(-0.2)]
    assert run["environment"] == {"threads": 2}
    calibration = client.get("/v1/devices/cpu").json()["calibration"]
    assert calibration == {"train": {"ratio": 2.0, "runs": 1}}

    plan_id = client.post("/v1/plans", json=plan_body()).json()["id"]
    plan = wait_for(client, f"/v1/plans/{plan_id}", "succeeded")
    assert plan["prediction"]["peak_bytes"] == 1000
    run = client.post("/v1/runs", json={"plan_id": plan_id}).json()
    run = wait_for(client, f"/v1/runs/{run['id']}", "succeeded")
    assert run["environment"]["strategy"]["micro_batches"] == plan["strategy"]["micro_batches"]
    assert run["baseline"]["measured"]["peak_bytes"] == 2100
    assert run["gradients_match"]["match"]
    assert run["slowdown"] == 1.25
    assert run["relative_error"] == pytest.approx(-0.2)
    infeasible = client.post("/v1/plans", json=plan_body(memory=1)).json()["id"]
    assert not wait_for(client, f"/v1/plans/{infeasible}", "succeeded")["feasible"]

    failed = wait_for(client, f"{URL}/{post(client, 'fail')}", "failed")
    assert failed["problem"]["type"] == "step-failed"
    raised = wait_for(client, f"{URL}/{post(client, 'raise')}", "failed")
    assert raised["problem"]["type"] == "internal-error"

    simulation_id = post(client, run_behaviour="oom")
    wait_for(client, f"{URL}/{simulation_id}", "succeeded")
    run = client.post("/v1/runs", json={"simulation_id": simulation_id}).json()
    run = wait_for(client, f"/v1/runs/{run['id']}", "out_of_memory")
    assert run["problem"]["type"] == "out-of-memory"

    workers = {worker["id"]: worker for worker in client.get("/v1/workers").json()["items"]}
    # Busy until the next heartbeat says that it has no job any more.
    assert workers["plain"]["state"] in ("online", "busy")
    assert workers["blue"]["state"] == "online"
    assert workers["plain"]["simulates"]
    assert not workers["blue"]["simulates"]
    # The queue of another label is left alone.
    async with database.write() as session:
        assert client.app.state.context is not None
        await client.app.state.context.engine.enqueue(
            session, "sim_other", run_queue({"device": "cuda", "room": "red"})
        )
    time.sleep(1)
    assert await EngineClient(client.app.state.context.settings.url).ended(["sim_other"]) == {}


@both
async def test_cancelling_a_running_job_stops_it_within_seconds(
    client, database, start_worker, tmp_path
):
    start_worker()
    mark = tmp_path / "cancelled"
    location = f"{URL}/{post(client, 'sleep', cancelled_file=str(mark))}"
    wait_for(client, location, "running")
    assert client.delete(location).json()["status"] == "cancelled"
    deadline = time.monotonic() + 10
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert client.get(location).json()["status"] == "cancelled"
    assert await attempts(database, location.rpartition("/")[2]) == ["cancelled"]
    # The worker is free again.
    wait_for(client, f"{URL}/{post(client)}", "succeeded")


@both
@on_sqlite
async def test_a_long_plan_shows_its_progress_and_holds_up_no_simulation(client, start_worker):
    start_worker()
    long = client.post("/v1/plans", json=plan_body("sleep")).json()["id"]
    deadline = time.monotonic() + 20
    while client.get(f"/v1/plans/{long}").json()["progress"] != PROGRESS:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_for(client, f"{URL}/{post(client)}", "succeeded")
    assert client.delete(f"/v1/plans/{long}").json()["status"] == "cancelled"
    after = client.post("/v1/plans", json=plan_body()).json()["id"]
    wait_for(client, f"/v1/plans/{after}", "succeeded")


@both
@on_sqlite
async def test_a_killed_worker_finishes_its_job_after_a_restart(client, database, start_worker):
    worker = start_worker("--id", "w")
    job_id = post(client, "sleep", seconds=2)
    wait_for(client, f"{URL}/{job_id}", "running")
    kill(worker)
    start_worker("--id", "w")
    wait_for(client, f"{URL}/{job_id}", "succeeded")
    assert await attempts(database, job_id) == ["lost", "finished"]


@both
async def test_another_worker_takes_the_jobs_of_a_killed_one(client, database, start_worker):
    worker = start_worker("--id", "dies")
    job_id = post(client, "sleep", seconds=2)
    wait_for(client, f"{URL}/{job_id}", "running")
    start_worker("--id", "lives")
    kill(worker)
    wait_for(client, f"{URL}/{job_id}", "succeeded")
    assert await attempts(database, job_id) == ["lost", "finished"]
    workers = {each["id"]: each["state"] for each in client.get("/v1/workers").json()["items"]}
    assert workers["dies"] == "lost"
    assert workers["lives"] in ("online", "busy")


def freeze(worker: subprocess.Popen[bytes], folder: Path) -> None:
    """Stop a worker at a moment when it holds no lock on a file of SQLite's: a worker beside a file
    shares its host, so the two freeze together or not at all.
    """
    for _ in range(50):
        worker.send_signal(signal.SIGSTOP)
        if all(is_free(file) for file in folder.glob("*.db")):
            return
        worker.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("the worker holds a lock all the time")


def is_free(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
    return True


@both
@on_sqlite
async def test_a_frozen_worker_that_wakes_changes_nothing(client, database, settings, start_worker):
    worker = start_worker("--id", "frozen")
    job_id = post(client, "sleep", seconds=3)
    wait_for(client, f"{URL}/{job_id}", "running")
    freeze(worker, settings.data_dir)
    start_worker("--id", "other")
    wait_for(client, f"{URL}/{job_id}", "succeeded")
    before = client.get(f"{URL}/{job_id}").json()
    worker.send_signal(signal.SIGCONT)
    time.sleep(4)
    assert client.get(f"{URL}/{job_id}").json() == before
    assert await attempts(database, job_id) == ["lost", "finished"]


@both
@on_sqlite
async def test_a_job_that_kills_its_workers_fails_for_good(client, start_worker):
    job_id = post(client, "die")
    for _ in range(3):
        worker = start_worker("--id", "w")
        assert worker.wait(30) == -signal.SIGKILL
    start_worker("--id", "w")
    failed = wait_for(client, f"{URL}/{job_id}", "failed")
    assert failed["problem"]["type"] == "worker-crashed"
    assert "3 times" in failed["problem"]["detail"]
    told = [(each["number"], each["worker_id"], each["outcome"]) for each in failed["attempts"]]
    assert told == [(number, "w", "lost") for number in (1, 2, 3)]
    assert all(each["started_at"] < each["finished_at"] for each in failed["attempts"])


@both
@on_sqlite
async def test_a_stopped_worker_hands_its_job_back_at_once(client, database, start_worker):
    worker = start_worker("--id", "stops")
    job_id = post(client, "sleep", seconds=2)
    wait_for(client, f"{URL}/{job_id}", "running")
    worker.terminate()
    assert worker.wait(20) == 0
    assert client.get(f"{URL}/{job_id}").json()["status"] == "queued"
    start_worker("--id", "next")
    wait_for(client, f"{URL}/{job_id}", "succeeded")
    assert await attempts(database, job_id) == ["interrupted", "finished"]


@both
@on_sqlite
async def test_a_worker_ends_after_its_service_but_finishes_its_job(
    client, settings, start_worker, tmp_path
):
    parent = subprocess.Popen(["sleep", "1000"])
    try:
        # The worker's parent is this process and not `parent`: orphaned from the start.
        job_id = post(client, "sleep", seconds=1)
        worker = start_worker("--parent-pid", str(parent.pid))
        assert worker.wait(30) == 0
        status = client.get(f"{URL}/{job_id}").json()["status"]
        assert status in ("queued", "succeeded")
    finally:
        parent.kill()
        parent.wait()


async def test_what_the_engine_gave_up_gets_a_final_state(client, database, engine, settings):
    from datetime import timedelta

    from app.engine.reaper import Reaper
    from app.kit.columns import utc_now

    job_id = post(client)
    await engine.cancel(job_id)  # behind the service's back
    async with database.write() as session:
        simulation = await session.get_one(Simulation, job_id)
        simulation.created_at = utc_now() - timedelta(minutes=5)
    await Reaper(database, engine, settings).sweep()
    failed = client.get(f"{URL}/{job_id}").json()
    assert failed["status"] == "failed"
    assert failed["problem"]["type"] == "worker-crashed"


@both
@on_sqlite
async def test_two_workers_cannot_have_one_id(start_worker, client):
    start_worker("--id", "w")
    wait_for(client, f"{URL}/{post(client)}", "succeeded")
    assert start_worker("--id", "w").wait(30) == 1


def test_only_the_adapters_import_the_engine():
    root = Path(__file__).resolve().parents[3]
    found = {
        str(path.relative_to(root))
        for folder in ("app", "planner", "profiler")
        for path in (root / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("import dbos", "from dbos"))
    }
    assert found == {
        "app/engine/client.py",
        "app/engine/leases.py",
        "app/engine/worker.py",
    }


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)
