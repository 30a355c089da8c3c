"""How many jobs an owner may have unfinished, and which job is next."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.jobs import lifecycle
from app.jobs.turns import next_turn
from app.kit.ids import new_id
from app.models import JobStatus, Run
from tests.app.fakes import body, plan_body
from tests.app.keys import As, guarded_app, headers_of
from tests.app.test_simulations import finish

URL = "/v1/simulations"


@pytest.fixture
def service(settings):
    with TestClient(guarded_app(settings, max_pending_per_owner=3)) as client:
        yield client


class TestLimit:
    async def test_calls_at_the_same_time_do_not_exceed_it(self, service, database):
        x = As(service, await headers_of(database, owner="x"))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: x.post(URL, json=body(n=n)), range(12)))
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [202] * 3 + [429] * 9
        refused = next(answer for answer in answers if answer.status_code == 429)
        problem = refused.json()
        assert (problem["type"], problem["limit"]) == ("quota-exceeded", 3)
        assert "'x'" in problem["detail"]
        assert "cancel some" in problem["detail"]
        assert 1 <= int(refused.headers["retry-after"]) <= 600
        assert len(x.get(URL).json()["items"]) == 3

    @pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
    async def test_it_counts_all_kinds_of_all_the_owners_keys(self, service, database):
        x = As(service, await headers_of(database, owner="x"))
        other = As(service, await headers_of(database, owner="x", max_pending=4))
        y = As(service, await headers_of(database, owner="y"))
        simulation_id = x.post(URL, json=body()).json()["id"]
        assert x.post("/v1/plans", json=plan_body()).status_code == 202
        assert other.post(URL, json=body(n=2)).status_code == 202
        assert x.post(URL, json=body(n=3)).status_code == 429
        assert y.post(URL, json=body(n=3)).status_code == 202
        # A key may have a limit of its own.
        fourth = other.post(URL, json=body(n=3)).json()["id"]
        assert other.post(URL, json=body(n=4)).status_code == 429
        # What is there already needs no place, and what has ended leaves one.
        assert x.post(URL, json=body()).json()["id"] == simulation_id
        await finish(database, simulation_id)
        assert x.delete(f"{URL}/{fourth}").json()["status"] == "cancelled"
        assert x.post("/v1/runs", json={"simulation_id": simulation_id}).status_code == 202
        refused = x.post("/v1/runs", json={"simulation_id": simulation_id})
        assert refused.status_code == 429
        assert x.post(URL, json=body(n=5), headers={"Idempotency-Key": "k"}).status_code == 429


class Queue:
    """Runs on one queue, as workers take them."""

    def __init__(self, database):
        self.database = database
        self.added = []

    async def add(self, owner):
        async with self.database.write() as session:
            priority = await next_turn(session, Run, "q", owner)
            run = Run(id=new_id("run"), queue="q", owner=owner, priority=priority)
            run.labels, run.device, run.predicted = {}, "cpu", {}
            session.add(run)
        self.added.append(run.id)
        return priority

    async def take(self):
        """What the engine takes next: the least priority, the oldest first."""
        async with self.database.write() as session:
            runs = await session.scalars(Run.__table__.select().with_only_columns(Run.id))
            waiting = [await session.get_one(Run, run_id) for run_id in runs]
            waiting = [run for run in waiting if run.status == JobStatus.QUEUED]
            run = min(waiting, key=lambda run: (run.priority, run.created_at))
            run.status = JobStatus.RUNNING
            return run.id, run.owner

    async def end(self, run_id):
        async with self.database.write() as session:
            run = await lifecycle.lock(session, run_id)
            await lifecycle.finish(session, run, JobStatus.SUCCEEDED)


class TestTurns:
    async def test_without_owners_jobs_are_taken_in_the_order_they_came(self, database):
        queue = Queue(database)
        assert {await queue.add(None) for _ in range(4)} == {1}  # the engine's least
        taken = [(await queue.take())[0] for _ in range(4)]
        assert taken == queue.added

    async def test_owners_take_turns(self, database):
        queue = Queue(database)
        for owner in "xxxxyyz":
            await queue.add(owner)
        taken = []
        for _ in range(7):
            run_id, owner = await queue.take()
            taken.append(owner)
            await queue.end(run_id)
        assert taken == ["x", "y", "z", "x", "y", "x", "x"]

    @pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
    async def test_nobody_waits_for_ever_for_one_who_always_has_another(self, database):
        queue = Queue(database)
        for owner in "xxxxy":
            await queue.add(owner)
        taken = []
        for _ in range(8):
            run_id, owner = await queue.take()
            taken.append(owner)
            if owner == "y":
                await queue.add("y")  # before it has ended
            await queue.end(run_id)
        assert taken.count("x") == 4
        assert "yy" not in "".join(taken[:7])

    @pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
    async def test_who_comes_late_is_not_ahead_of_all_that_waited(self, database):
        queue = Queue(database)
        for _ in range(5):
            await queue.add("x")
        for _ in range(3):
            run_id, _ = await queue.take()
            await queue.end(run_id)
        running, _ = await queue.take()
        assert await queue.add("y") == 5  # as x's last, and not 1
        await queue.end(running)
        assert (await queue.take())[1] == "x"
        assert await queue.add("y") == 6
