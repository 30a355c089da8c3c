"""What a sweep mends, and whom it leaves alone. In one process, on both databases."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.engine.attachment import attach
from app.engine.client import EngineClient
from app.engine.execution import JobExecution
from app.engine.machine import describe_worker
from app.engine.reaper import Reaper
from app.jobs import lifecycle
from app.models import Worker, WorkerState
from tests.app.fakes import FakeExecutor, body

URL = "/v1/simulations"
_numbers = itertools.count()


@pytest.fixture
async def engine(settings):
    engine = EngineClient(settings.url)
    yield engine
    await engine.close()


async def taken(database, client, worker_id: str) -> str:
    """A job that the worker has taken off its queue, and not begun."""
    job_id = client.post(URL, json=body(number=next(_numbers))).json()["id"]
    async with database.write() as session:
        schema = "" if session.get_bind().dialect.name == "sqlite" else "dbos."
        await session.execute(
            text(
                f"UPDATE {schema}workflow_status SET status = 'PENDING', executor_id = :worker"
                " WHERE workflow_uuid = :job"
            ),
            {"worker": worker_id, "job": job_id},
        )
    return job_id


async def attached(database, worker_id: str, state: str = WorkerState.ONLINE, silent_s=0) -> None:
    await attach(database, worker_id, describe_worker(None, None))
    async with database.write() as session:
        worker = await session.get_one(Worker, worker_id)
        worker.state = state
        worker.last_seen_at -= timedelta(seconds=silent_s)


async def state(database, worker_id: str) -> str:
    async with database.read() as session:
        return (await session.get_one(Worker, worker_id)).state


async def test_what_a_half_done_burial_left_is_requeued(client, database, engine, settings):
    await attached(database, "dead", WorkerState.LOST, silent_s=60)
    await attached(database, "back", WorkerState.LOST)
    dead, back = await taken(database, client, "dead"), await taken(database, client, "back")
    assert await engine.under_way() == {"dead": {dead}, "back": {back}}
    await Reaper(database, engine, settings).sweep()
    # A lost worker that has been heard of since comes back by itself, with what it has.
    assert await engine.under_way() == {"back": {back}}


async def test_a_worker_finds_what_it_took_without_knowing(client, database, engine, settings):
    await attached(database, "w")
    begun, unknown = await taken(database, client, "w"), await taken(database, client, "w")
    reaper = Reaper(database, engine, settings, worker_id="w", active={begun: None})
    await reaper.sweep()
    assert await engine.under_way() == {"w": {begun, unknown}}  # it may begin any moment
    await reaper.sweep()
    assert await engine.under_way() == {"w": {begun}}


async def test_after_an_outage_nobody_is_lost_who_could_not_be_heard(
    client, database, engine, settings
):
    settings = settings.model_copy(update={"worker_stale_s": 1})
    await attached(database, "other")
    await attached(database, "itself")
    reaper = Reaper(database, engine, settings, worker_id="itself")
    await asyncio.sleep(1.1)  # nobody was heard meanwhile, and nobody listened
    await reaper.sweep()
    assert await state(database, "other") == WorkerState.ONLINE
    async with asyncio.timeout(60):
        while await state(database, "other") != WorkerState.LOST:
            await asyncio.sleep(0.2)
            await reaper.sweep()
    assert await state(database, "itself") == WorkerState.ONLINE


async def test_a_worker_does_not_begin_what_has_gone_to_another(client, database, engine, settings):
    job_id = await taken(database, client, "other")
    async with database.write() as session:
        claim = await lifecycle.claim(session, job_id, "other", settings.max_attempts)
    assert claim is not None
    frozen = JobExecution(database, engine, FakeExecutor(), settings, "frozen")
    await frozen.execute(job_id)  # the last that it knew was that this is its job
    job = client.get(f"{URL}/{job_id}").json()
    assert job["status"] == "running"
    (attempt,) = job["attempts"]
    assert (attempt["worker_id"], attempt["outcome"]) == ("other", None)
    assert client.get(URL).json()["items"][0]["attempts"] is None  # lists leave it out
    other = JobExecution(database, engine, FakeExecutor(), settings, "other")
    await other.execute(job_id)
    assert client.get(f"{URL}/{job_id}").json()["status"] == "succeeded"
