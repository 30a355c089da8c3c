"""What is old goes, what is needed stays."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update

from app.engine.client import EngineClient
from app.jobs.retention import count_old, prune
from app.kit.columns import utc_now
from app.models import Artifact, AuditEntry, Run, Simulation
from tests.app.fakes import body
from tests.app.test_simulations import finish

OLD = timedelta(days=100)


async def simulated(client, database, batch_size, age):
    """A finished simulation that ended so long ago."""
    posted = client.post("/v1/simulations", json=body(batch_size=batch_size)).json()["id"]
    await finish(database, posted)
    await age_of(database, Simulation, posted, age)
    return posted


async def age_of(database, table, job_id, age):
    async with database.write() as session:
        ended = update(table).where(table.id == job_id)
        await session.execute(ended.values(finished_at=utc_now() - age))


async def ids(database, table):
    async with database.read() as session:
        return set(await session.scalars(select(table.id)))


async def test_old_jobs_go_with_their_files_and_what_runs_need_stays(client, database, settings):
    zero = timedelta()
    old = await simulated(client, database, 1, OLD)
    young = await simulated(client, database, 2, zero)
    needed = await simulated(client, database, 3, OLD)
    waiting = client.post("/v1/simulations", json=body(batch_size=4)).json()["id"]
    kept = client.post("/v1/runs", json={"simulation_id": needed}).json()["id"]
    before, engine = utc_now() - timedelta(days=90), EngineClient(settings.url)
    expected = {
        "sweep": 0,
        "design_search": 0,
        "run": 0,
        "plan": 0,
        "simulation": 1,
        "audit entry": 0,
    }
    assert await count_old(database, before) == expected
    assert await prune(database, engine, before) == {"sweep": 0, "simulation": 1, "audit entry": 0}
    assert await ids(database, Simulation) == {young, needed, waiting}
    assert await ids(database, Run) == {kept}
    assert client.get(f"/v1/simulations/{old}").status_code == 404
    async with database.read() as session:
        files = select(func.count()).select_from(Artifact).where(Artifact.job_id == old)
        assert await session.scalar(files) == 0
    assert await prune(database, engine, before) == {"sweep": 0, "audit entry": 0}
    await engine.close()


async def test_runs_that_go_do_not_keep_what_they_ran(client, database, settings):
    of = await simulated(client, database, 1, OLD)
    run = client.post("/v1/runs", json={"simulation_id": of}).json()["id"]
    client.delete(f"/v1/runs/{run}")  # cancelled: finished
    await age_of(database, Run, run, OLD)
    async with database.write() as session:
        await session.execute(update(AuditEntry).values(at=utc_now() - OLD))
    engine = EngineClient(settings.url)
    counts = await prune(database, engine, utc_now() - timedelta(days=90))
    assert counts == {"sweep": 0, "run": 1, "simulation": 1, "audit entry": 3}
    assert not await ids(database, Run) | await ids(database, Simulation)
    await engine.close()
