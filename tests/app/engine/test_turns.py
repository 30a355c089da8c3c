"""Fair order with real workers on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from app.models import Simulation
from tests.app.conftest import wait_for
from tests.app.fakes import body
from tests.app.keys import As, guarded_app, headers_of

URL = "/v1/simulations"


@pytest.fixture
def service(settings):
    with TestClient(guarded_app(settings)) as client:
        yield client


async def begun(database, owner: str, before) -> int:
    """How many of an owner's simulations were begun before that time."""
    counted = select(func.count()).select_from(Simulation)
    async with database.read() as session:
        return await session.scalar(
            counted.where(Simulation.owner == owner, Simulation.started_at < before)
        )


async def test_one_job_does_not_wait_for_the_many_of_another_owner(service, database, start_worker):
    x = As(service, await headers_of(database, owner="x"))
    y = As(service, await headers_of(database, owner="y"))
    first = x.post(URL, json=body("sleep", seconds=2, n=0)).json()["id"]
    for n in range(1, 40):
        assert x.post(URL, json=body(n=n)).status_code == 202
    one = y.post(URL, json=body()).json()["id"]
    # The worker dies with the first job at hand: what is requeued keeps its place, and y its own.
    dies = start_worker("--id", "dies")
    wait_for(x, f"{URL}/{first}", "running")
    dies.kill()
    start_worker("--id", "dies")
    done = wait_for(y, f"{URL}/{one}", "succeeded")
    async with database.read() as session:
        started = (await session.get_one(Simulation, done["id"])).started_at
    assert await begun(database, "x", started) <= 2
    priorities = select(Simulation.priority).where(Simulation.owner == "x")
    async with database.read() as session:
        assert sorted(await session.scalars(priorities)) == list(range(1, 41))
