"""Leases over HTTP: each call may come twice, and none of an attempt that is over counts."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from app.gateway import upkeep
from app.kit.columns import utc_now
from app.models import JobAttempt, Worker
from tests.app.fakes import PROGRESS, body, plan_body
from tests.app.gateway.worker import TAPE, TIMELINE, PlayedWorker, ran, simulated
from tests.app.test_design_searches import search_body

URL = "/v1/simulations"
on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def worker(client):
    worker = PlayedWorker(client)
    worker.attach()
    return worker


@pytest.fixture
def job(client):
    return client.post(URL, json=body()).json()["id"]


@pytest.fixture
def engine(client):
    return client.app.state.context.engine


async def attempts(database, job_id):
    async with database.read() as session:
        found = select(JobAttempt.outcome).where(JobAttempt.job_id == job_id)
        return list(await session.scalars(found.order_by(JobAttempt.number)))


async def test_a_job_from_its_queue_to_its_result(client, worker, job, database, engine):
    name = str(uuid4())
    lease = worker.lease(name)
    assert lease.status_code == 200
    given = lease.json()
    assert (given["id"], given["job_id"], given["attempt"]) == (name, job, 1)
    assignment = given["assignment"]
    assert assignment["kind"] == "simulation"
    assert assignment["request"]["workload"]["batch_size"] == 2
    assert assignment["device"]["name"] == "cpu"
    assert assignment["limits"]["wall_seconds"] == 300
    assert client.get(f"{URL}/{job}").json()["status"] == "running"

    answer = worker.heartbeat(**{name: {"phase": "trace"}, str(uuid4()): None}).json()["leases"]
    assert sorted(answer.values()) == ["held", "unknown"]
    assert client.get(f"{URL}/{job}").json()["progress"] == {"phase": "trace"}
    assert client.get("/v1/workers").json()["items"][0]["state"] == "busy"

    assert worker.finish(name).json() == {"job_id": job, "attempt": 1}
    done = client.get(f"{URL}/{job}").json()
    assert done["status"] == "succeeded"
    assert done["prediction"]["peak_bytes"] == 1000
    assert client.get(f"{URL}/{job}/timeline").status_code == 200
    assert await engine.ended([job]) == {job: "SUCCESS"}
    assert worker.heartbeat(**{name: None}).json()["leases"] == {name: "delivered"}
    assert await attempts(database, job) == ["finished"]


@on_sqlite
async def test_every_call_may_be_repeated(client, worker, job, database):
    other = client.post(URL, json=body(n=2)).json()["id"]
    name = str(uuid4())
    assert worker.lease(name).json() == worker.lease(name).json()
    assert worker.finish(name).json() == worker.finish(name).json()
    before = client.get(f"{URL}/{job}")
    assert worker.deliver(name, simulated(peak_bytes=7), tape=TAPE).status_code == 200
    assert client.get(f"{URL}/{job}").headers["etag"] == before.headers["etag"]
    assert await attempts(database, job) == ["finished"]
    # A lease that is delivered is no question for another job.
    assert worker.lease(name).json()["type"] == "lease-over"
    assert client.get(f"{URL}/{other}").json()["status"] == "queued"


async def test_the_same_call_at_the_same_moment_takes_one_job(client, worker, database):
    jobs = [client.post(URL, json=body(n=n)).json()["id"] for n in range(2)]
    client.app.state.context.settings.simulations_at_once = 4
    worker.attach()  # so that the engine would give both
    name, answers = str(uuid4()), []

    def ask():
        answers.append(worker.lease(name, wait=5).json()["job_id"])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    (left,) = set(jobs) - set(answers)
    assert client.get(f"{URL}/{left}").json()["status"] == "queued"
    assert worker.lease().json()["job_id"] == left


async def test_what_was_taken_of_the_engine_and_not_told_is_given_by_the_next_call(
    client, worker, job, database
):
    """The process that took it died before it wrote the attempt."""
    name = str(uuid4())
    assert await client.app.state.context.leases.take("w", "simulations", name) == job
    assert worker.lease(name).json()["job_id"] == job


async def test_nobody_s_jobs_are_found_and_queued_again(client, worker, database, monkeypatch):
    """Taken in the engine's eyes only; forgotten by its worker; finished in our eyes only."""
    context = client.app.state.context
    context.settings.simulations_at_once = 4
    worker.attach()
    jobs = [client.post(URL, json=body(n=n)).json()["id"] for n in range(3)]
    names = [str(uuid4()) for _ in jobs]
    assert await context.leases.take("w", "simulations", names[0]) == jobs[0]
    assert worker.lease(names[1]).json()["job_id"] == jobs[1]
    finish = context.leases.finish

    async def dies(job_id, lease_id):
        return False

    monkeypatch.setattr(context.leases, "finish", dies)
    worker.lease(names[2])
    worker.finish(names[2])
    monkeypatch.setattr(context.leases, "finish", finish)
    await context.upkeep._settle()
    assert len(await context.leases.held_by(["w"])) == 3  # it may all be under way
    monkeypatch.setattr(upkeep, "_STRAY_AFTER", timedelta(0))
    worker.heartbeat(**{names[1]: None})
    await context.upkeep._settle()
    assert [held.job_id for held in await context.leases.held_by(["w"])] == [jobs[1]]
    worker.heartbeat()
    await context.upkeep._settle()
    assert await context.leases.held_by(["w"]) == []
    assert await context.engine.ended(jobs) == {jobs[2]: "SUCCESS"}
    assert await attempts(database, jobs[1]) == ["interrupted"]
    assert {worker.lease().json()["job_id"] for _ in range(2)} == set(jobs[:2])


@on_sqlite
async def test_of_an_attempt_that_is_over_nothing_counts(client, worker, job, database):
    name = str(uuid4())
    worker.lease(name)
    async with database.write() as session:
        await session.execute(update(Worker).values(last_seen_at=utc_now() - timedelta(minutes=1)))
    reaper = client.app.state.context.upkeep._reaper
    await reaper.sweep()  # it has only just begun to watch, and judges nobody
    assert client.get(f"{URL}/{job}").json()["status"] == "running"
    reaper._watching_since -= timedelta(minutes=1)
    await reaper.sweep()
    assert client.get(f"{URL}/{job}").json()["status"] == "queued"
    other = PlayedWorker(client, "other")
    other.attach()
    assert other.lease().json()["attempt"] == 2
    before = client.get(f"{URL}/{job}").headers["etag"]
    assert worker.lease().json()["type"] == "session-over"
    said = worker.heartbeat(**{name: {"phase": "late"}}).json()["leases"]
    assert said == {name: "lost"}
    for answer in (worker.lease(name), worker.finish(name)):
        assert (answer.status_code, answer.json()["type"]) == (410, "lease-over")
    assert client.get(f"{URL}/{job}").headers["etag"] == before
    # It has said that it lives, and is given jobs again.
    again = client.post(URL, json=body(n=2)).json()["id"]
    assert worker.lease().json()["job_id"] == again


@on_sqlite
async def test_a_cancelled_job_is_told_with_the_next_heartbeat(client, worker, job, engine):
    name = str(uuid4())
    worker.lease(name)
    client.delete(f"{URL}/{job}")
    assert worker.heartbeat(**{name: None}).json()["leases"] == {name: "cancelled"}
    assert worker.finish(name).status_code == 410
    assert client.get(f"{URL}/{job}").json()["status"] == "cancelled"
    # The next job is another one's question.
    again = client.post(URL, json=body(n=2)).json()["id"]
    assert worker.lease().json()["job_id"] == again


@on_sqlite
def test_a_lease_is_its_worker_s_alone(client, worker, job):
    name = str(uuid4())
    worker.lease(name)
    other = PlayedWorker(client, "other")
    other.attach()
    assert other.finish(name).status_code == 404
    assert other.heartbeat(**{name: {"phase": "x"}}).json()["leases"] == {name: "unknown"}
    second = client.post(URL, json=body(n=2)).json()["id"]
    assert other.lease(name).status_code == 409
    assert client.get(f"{URL}/{second}").json()["status"] == "queued"
    assert other.lease().json()["job_id"] == second
    assert worker.finish(name).status_code == 200


@on_sqlite
def test_kinds_limits_and_labels(client, worker, job):
    client.post(URL, json=body(n=2))
    name = str(uuid4())
    assert worker.lease(name).status_code == 200
    assert worker.lease().status_code == 204, "one simulation at a time, as the service is set"
    plan = client.post("/v1/plans", json=plan_body()).json()["id"]
    planning = worker.lease(kind="plan").json()
    assert planning["job_id"] == plan
    assert len(planning["assignment"]["devices"]) > 5
    worker.finish(name)
    run = client.post("/v1/runs", json={"simulation_id": job}).json()["id"]
    blue = PlayedWorker(client, "blue", labels={"device": "cpu", "room": "blue"}, simulates=False)
    blue.attach()
    assert blue.lease(kind="run").status_code == 204
    assert blue.lease(kind="simulation").status_code == 204
    running = str(uuid4())
    assert worker.lease(running, kind="run").json()["job_id"] == run
    assert worker.deliver(running, ran(), timeline=TIMELINE).status_code == 200
    done = client.get(f"/v1/runs/{run}").json()
    assert done["worker"]["hostname"] == "far-away"
    assert done["relative_error"] == pytest.approx(-0.2)
    assert client.get("/v1/devices/cpu").json()["calibration"]["train"]["runs"] == 1


@on_sqlite
def test_a_search_waits_for_a_worker_with_the_database(client, worker):
    made = client.post("/v1/design-searches", json=search_body())
    assert "no worker" in made.json()["warnings"][0]
    assert worker.lease(kind="design_search").status_code == 422


@on_sqlite
def test_asking_waits_and_ends_with_the_server(client, worker):
    begun, answers = time.monotonic(), []
    asking = threading.Thread(target=lambda: answers.append(worker.lease(wait=60)))
    asking.start()
    time.sleep(0.3)
    job = client.post(URL, json=body()).json()["id"]
    asking.join(20)
    assert answers[0].json()["job_id"] == job
    asking = threading.Thread(target=lambda: answers.append(worker.lease(kind="plan", wait=60)))
    asking.start()
    time.sleep(0.3)
    client.app.state.context.stopping.set()
    asking.join(20)
    assert answers[1].status_code == 204
    assert time.monotonic() - begun < 50


@on_sqlite
async def test_what_is_left_goes_back_when_its_worker_leaves(client, worker, job, database):
    name = str(uuid4())
    worker.lease(name)
    worker.detach()
    assert client.get(f"{URL}/{job}").json()["status"] == "queued"
    assert await attempts(database, job) == ["interrupted"]
    next_ = PlayedWorker(client, "next")
    next_.attach()
    assert next_.lease().json()["job_id"] == job


@on_sqlite
async def test_a_job_that_takes_down_its_workers_is_given_to_none_any_more(
    client, worker, job, database
):
    async with database.write() as session:
        for number in range(1, 4):
            session.add(
                JobAttempt(job_id=job, number=number, worker_id="x", outcome="lost", lease_id=None)
            )
    assert worker.lease().status_code == 204
    failed = client.get(f"{URL}/{job}").json()
    assert failed["problem"]["type"] == "worker-crashed"


@on_sqlite
def test_progress_of_a_plan_is_shown(client, worker):
    plan = client.post("/v1/plans", json=plan_body()).json()["id"]
    name = str(uuid4())
    worker.lease(name, kind="plan")
    worker.heartbeat(**{name: PROGRESS})
    assert client.get(f"/v1/plans/{plan}").json()["progress"] == PROGRESS
