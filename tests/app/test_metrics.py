"""`/metrics`: what it says, and that Prometheus' conventions are kept."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.engine.attachment import attach
from app.engine.machine import describe_worker
from app.health import metrics
from app.jobs import lifecycle
from app.kit.columns import utc_now
from app.kit.ids import new_id
from app.models import JobStatus, Run, Simulation, Worker, WorkerState
from app.models.attempt import AttemptOutcome
from app.telemetry import tallies
from tests.app.fakes import body

PROBLEM = {"type": "step-failed", "title": "t", "detail": "d"}
on_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def fresh(monkeypatch):
    """Each scrape asks the database."""
    monkeypatch.setattr(metrics, "_FRESH_S", 0)


class Scrape:
    """The samples of one answer."""

    def __init__(self, client) -> None:
        self.text = client.get("/metrics").text
        self.families = list(text_string_to_metric_families(self.text))
        self.samples = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((name, *sorted(labels.items())))


def post(client, number: int) -> str:
    return client.post("/v1/simulations", json=body(number=number)).json()["id"]


async def end(database, job_id, status=JobStatus.SUCCEEDED, *, queued_s=1.0, executed_s=3.0):
    async with database.write() as session:
        await lifecycle.claim(session, job_id, "w", 3)
        job = await lifecycle.lock(session, job_id)
        now = utc_now()
        job.started_at = now - timedelta(seconds=executed_s)
        job.created_at = job.started_at - timedelta(seconds=queued_s)
        failed = status not in (JobStatus.SUCCEEDED, JobStatus.CANCELLED)
        await lifecycle.finish(session, job, status, PROBLEM if failed else None)
        await lifecycle.close_attempt(session, job_id, 1, AttemptOutcome.FINISHED)


async def test_queues_tell_what_waits_apart_from_what_runs(client, database, fresh):
    _, second, third = (post(client, number) for number in range(3))
    async with database.write() as session:
        (await session.get_one(Simulation, second)).created_at -= timedelta(seconds=90)
        (await session.get_one(Simulation, third)).created_at -= timedelta(seconds=900)
        await lifecycle.claim(session, third, "w", 3)
    await attach(database, "w", describe_worker(None, None))
    scrape = Scrape(client)
    assert scrape("headroom_queue_jobs", queue="simulations", status="queued") == 2
    assert scrape("headroom_queue_jobs", queue="simulations", status="running") == 1
    assert scrape("headroom_queue_jobs", queue="plans", status="queued") == 0
    assert scrape("headroom_queue_jobs", queue="runs:device=cpu", status="queued") == 0
    assert 90 <= scrape("headroom_queue_oldest_job_age_seconds", queue="simulations") < 400
    assert scrape("headroom_queue_oldest_job_age_seconds", queue="plans") == 0
    assert scrape("headroom_jobs", kind="simulation", status="queued") == 2
    assert scrape("headroom_jobs", kind="run", status="out_of_memory") == 0


async def test_outcomes_are_counted_and_stay_counted_when_jobs_are_deleted(client, database, fresh):
    ids = [post(client, number) for number in range(4)]
    await end(database, ids[0], queued_s=1, executed_s=3)
    await end(database, ids[1], queued_s=20, executed_s=1e6)
    await end(database, ids[2], JobStatus.FAILED, queued_s=0.1, executed_s=3)
    client.delete(f"/v1/simulations/{ids[3]}")
    for job_id in ids:
        assert client.delete(f"/v1/simulations/{job_id}").status_code == 204
    scrape = Scrape(client)
    assert scrape("headroom_jobs", kind="simulation", status="succeeded") == 0
    for status, count in (("succeeded", 2), ("failed", 1), ("cancelled", 1)):
        assert scrape("headroom_jobs_ended_total", kind="simulation", status=status) == count
    problems = scrape("headroom_job_problems_total", kind="simulation", problem="step-failed")
    assert problems == 1
    ended = scrape("headroom_job_attempts_ended_total", kind="simulation", outcome="finished")
    assert ended == 3
    for le, count in (("0.5", 1), ("1.0", 2), ("10.0", 2), ("30.0", 3), ("+Inf", 3)):
        assert scrape("headroom_job_queue_seconds_bucket", kind="simulation", le=le) == count
    for le, count in (("2.5", 0), ("5.0", 2), ("3600.0", 2), ("+Inf", 3)):
        assert scrape("headroom_job_execution_seconds_bucket", kind="simulation", le=le) == count
    waited = scrape("headroom_job_queue_seconds_sum", kind="simulation")
    assert waited == pytest.approx(21.1, abs=0.01)


async def test_attempts_that_took_their_worker_down_are_counted(client, database, fresh):
    job_id = post(client, 0)
    async with database.write() as session:
        await lifecycle.claim(session, job_id, "w", 3)
    async with database.write() as session:
        assert await lifecycle.requeue(session, "w", AttemptOutcome.LOST) == [job_id]
        again = await lifecycle.claim(session, job_id, "w2", 3)
    assert again.job.created_at < again.queued_at <= again.job.started_at
    lost = Scrape(client)("headroom_job_attempts_ended_total", kind="simulation", outcome="lost")
    assert lost == 1


async def test_jobs_that_end_at_the_same_time_are_all_counted(client, database):
    async def count() -> None:
        job = Simulation(id="sim_x", status="failed", problem=PROBLEM, created_at=utc_now())
        async with database.write() as session:
            await tallies.job_ended(session, job)
            await tallies.attempts_ended(session, "simulation", "lost", 2)

    await asyncio.gather(*(count() for _ in range(12)))
    async with database.read() as session:
        found = {tally.name: tally.count for tally in await tallies.all_tallies(session)}
    assert found == {"jobs": 12, "failures": 12, "attempts": 24}


async def test_predictions_are_compared_with_what_was_measured_lately(client, database, fresh):
    now = utc_now()
    simulation = post(client, 0)
    runs = [
        ("cpu", "gpt2", 0.02, 1),
        ("cpu", "gpt2", -0.06, 2),
        ("cpu", None, 0.5, 3),
        ("cpu", "gpt2", 9.0, 8 * 24),
        ("l4", "gpt2", None, 1),
    ]
    async with database.write() as session:
        for device, model_type, error, hours in runs:
            run = Run(id=new_id("run"), status="succeeded", queue="q", simulation_id=simulation)
            run.device, run.model_type, run.relative_error = device, model_type, error
            run.labels, run.predicted, run.finished_at = {}, {}, now - timedelta(hours=hours)
            session.add(run)
    scrape = Scrape(client)
    gpt2 = {"device": "cpu", "model_type": "gpt2"}
    mean = scrape("headroom_recent_prediction_error_mean_ratio", **gpt2)
    assert mean == pytest.approx(0.04)
    largest = scrape("headroom_recent_prediction_error_max_ratio", **gpt2)
    assert largest == pytest.approx(0.06)
    assert scrape("headroom_recent_measured_runs", **gpt2) == 2
    assert scrape("headroom_recent_measured_runs", device="cpu", model_type="custom") == 1
    assert scrape("headroom_recent_measured_runs", device="l4", model_type="gpt2") is None


async def test_workers_are_counted_by_state_and_told_apart_by_device(client, database, fresh):
    await attach(database, "a", describe_worker(None, None))
    await attach(database, "b", describe_worker({"device": "cuda"}, None))
    async with database.write() as session:
        (await session.get_one(Worker, "a")).jobs = ["sim_1"]
        (await session.get_one(Worker, "b")).state = WorkerState.LOST
    scrape = Scrape(client)
    states = {state: scrape("headroom_workers", state=str(state)) for state in WorkerState}
    assert states == {state: float(state in ("busy", "lost")) for state in WorkerState}
    up = {
        sample.labels["worker"]: (sample.labels["device"], sample.value)
        for family in scrape.families
        if family.name == "headroom_worker_up"
        for sample in family.samples
    }
    assert up == {"a": ("cpu", 1), "b": ("cuda", 0)}
    assert scrape("headroom_database_size_bytes") > 10_000


@on_sqlite
async def test_the_database_is_asked_once_in_a_while_whoever_scrapes(client, database):
    assert Scrape(client)("headroom_jobs", kind="simulation", status="queued") == 0
    post(client, 0)
    assert Scrape(client)("headroom_jobs", kind="simulation", status="queued") == 0


@on_sqlite
def test_without_the_database_the_process_still_tells_of_itself(client, settings, fresh):
    assert Scrape(client)("headroom_database_up") == 1
    database = settings.data_dir / "headroom.db"
    database.rename(database.with_suffix(".away"))
    (settings.data_dir / "headroom.db").mkdir()
    client.portal.call(client.app.state.context.database.close)
    scrape = Scrape(client)
    assert scrape("headroom_database_up") == 0
    assert scrape("headroom_jobs", kind="simulation", status="queued") is None
    assert scrape("process_resident_memory_bytes") > 0


@on_sqlite
async def test_names_follow_prometheus_conventions(client, database, fresh):
    await end(database, post(client, 0), JobStatus.FAILED)
    scrape = Scrape(client)
    ours = [family for family in scrape.families if family.name.startswith("headroom_")]
    assert len(ours) > 12
    for family in ours:
        assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z]", family.name)
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        for sample in family.samples:
            # The parser takes `_total` off a counter's name; nothing else may have it.
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert all(re.fullmatch("[a-z][a-z_]*", label) for label in sample.labels)
        for word in ("milliseconds", "minutes", "mib", "percent", "count"):
            assert word not in family.name.split("_")
    if shutil.which("promtool") is None:
        pytest.skip("NO PROMTOOL: install the package `prometheus` to have it check the metrics")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape.text, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
