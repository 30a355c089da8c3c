"""What is used of the engine's insides for workers over HTTP, and what it is relied on for."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from app.engine.client import EngineClient
from app.engine.leases import Leases

QUEUE = "runs:device=cpu"


@pytest.fixture
async def engine(settings):
    engine = EngineClient(settings.url)
    yield engine
    await engine.close()


@pytest.fixture
async def leases(engine):
    leases = Leases(engine)
    await leases.register([QUEUE], {QUEUE: 2}, 0.1)
    return leases


@pytest.fixture
async def jobs(engine, database):
    names = [f"sim_{number}" for number in range(4)]
    for name in names:
        async with database.write() as session:
            await engine.enqueue(session, name, QUEUE)
        await asyncio.sleep(0.01)  # the order is by time, to the millisecond
    return names


async def test_jobs_are_taken_one_at_a_time_in_order_up_to_the_limit_of_the_queue(leases, jobs):
    assert await leases.take("w", "no such queue", str(uuid4())) is None
    names = [str(uuid4()) for _ in range(3)]
    taken = [await leases.take("w", QUEUE, name) for name in names]
    assert taken == [*jobs[:2], None]
    assert await leases.take("v", QUEUE, str(uuid4())) == jobs[2]
    held = await leases.held_by(["w"])
    assert {(each.job_id, each.token) for each in held} == set(zip(jobs, names[:2], strict=False))
    assert await leases.taken("w", names[1]) == jobs[1]
    assert await leases.taken("v", names[1]) is None


async def test_only_the_lease_that_has_a_job_finishes_it_once(leases, engine, jobs):
    name = str(uuid4())
    job = await leases.take("w", QUEUE, name)
    assert not await leases.finish(job, str(uuid4()))
    assert await engine.ended(jobs) == {}
    assert await leases.finish(job, name)
    assert not await leases.finish(job, name)
    assert await engine.ended(jobs) == {job: "SUCCESS"}


async def test_what_is_given_back_or_recovered_is_no_longer_the_lease_s(leases, engine, jobs):
    first, second, third = str(uuid4()), str(uuid4()), str(uuid4())
    job = await leases.take("w", QUEUE, first)
    assert not await leases.give_back(job, second)
    assert await leases.give_back(job, first)
    assert not await leases.finish(job, first)
    assert await leases.take("w", QUEUE, second) == job
    assert not await leases.give_back(job, first), "it is the same worker's, as another lease"
    assert await engine.requeue_jobs_of("w") == 1
    assert not await leases.finish(job, second)
    assert await leases.take("v", QUEUE, third) == job
    assert await engine.requeue_jobs_of("w") == 0
    assert await leases.finish(job, third)


async def test_a_cancelled_job_is_neither_taken_nor_finished(leases, engine, jobs):
    name = str(uuid4())
    job = await leases.take("w", QUEUE, name)
    await engine.cancel(job)
    await engine.cancel(jobs[1])
    assert not await leases.finish(job, name)
    assert not await leases.give_back(job, name)
    assert await leases.held_by(["w"]) == []
    assert await leases.take("w", QUEUE, str(uuid4())) == jobs[2]
