"""Queued runs drained by several workers: each done once, and its end told once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import func, select

from app.database import Database
from app.models import Event, JobAttempt, JobStatus, Run
from app.models.attempt import AttemptOutcome
from app.models.base import UNFINISHED
from app.settings import Settings
from benchmarks.load.rows import PATTERNS, body
from benchmarks.load.service import running, succeeded

_REQUEST = body(PATTERNS[0])
_LONGEST_S = 1_800


@dataclass(frozen=True)
class Drained:
    """What is in the database when nothing is queued any more."""

    asked: int
    succeeded: int
    attempts: Counter[str]
    attempts_a_run: Counter[int]
    ends_a_run: Counter[int]
    by_worker: Counter[str]
    seconds: float

    def faults(self) -> list[str]:
        """What was lost or done twice, in words."""
        found = []
        if self.succeeded != self.asked:
            found.append(f"{self.asked - self.succeeded} runs have not succeeded")
        if self.attempts != {AttemptOutcome.FINISHED: self.asked}:
            found.append(f"outcomes of attempts: {dict(self.attempts)}")
        if self.attempts_a_run != {1: self.asked}:
            found.append(f"attempts a run: {dict(self.attempts_a_run)}")
        if self.ends_a_run != {1: self.asked}:
            found.append(f"final events a run: {dict(self.ends_a_run)}")
        return found


def drain(runs: int, workers: int) -> Drained:
    """Queue runs while there is no worker, then start some. Their executor is that of the tests,
    which answers at once: what is measured is the queue, and no model.

    Raises:
        SystemExit: it took more than half an hour.
    """
    with running("postgresql", auth=True) as service:
        api = service.start_api()
        with service.client(api) as client:
            first = service.start_fake_worker("first")
            wanted = {"simulation_id": succeeded(client, "/v1/simulations", _REQUEST)}
            service.stop(first)

            def queue(_: int) -> None:
                answer = client.post("/v1/runs", json=wanted, headers={"Prefer": "respond-async"})
                assert answer.status_code == 202, answer.text

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(queue, range(runs)))
        for number in range(workers):
            service.start_fake_worker(f"worker-{number}")
        seconds = asyncio.run(_until_empty(service.settings))
        return asyncio.run(_look(service.settings, runs, seconds))


async def _until_empty(settings: Settings) -> float:
    """Seconds from the first attempt of a run to the end of the last."""
    database, deadline = Database(settings.url), time.monotonic() + _LONGEST_S
    unfinished = select(func.count(Run.id)).where(Run.status.in_(UNFINISHED))
    span = select(func.min(Run.started_at), func.max(Run.finished_at))
    while True:
        async with database.read() as session:
            left = await session.scalar(unfinished)
            if left == 0:
                started, ended = (await session.execute(span)).one()
                break
        if time.monotonic() > deadline:
            raise SystemExit(f"{left} runs were still unfinished after {_LONGEST_S} s")
        await asyncio.sleep(0.5)
    await database.close()
    return (ended - started).total_seconds()


async def _look(settings: Settings, asked: int, seconds: float) -> Drained:
    database = Database(settings.url)
    async with database.read() as session:
        status = select(func.count(Run.id)).where(Run.status == JobStatus.SUCCEEDED)
        succeeded = await session.scalar(status) or 0
        of_runs = select(JobAttempt).where(JobAttempt.job_id.in_(select(Run.id)))
        attempts = list(await session.scalars(of_runs))
        events = list(await session.scalars(select(Event).where(Event.kind == Run.kind)))
    await database.close()
    ends = Counter(
        event.resource_id for event in events if JobStatus(event.data["status"]).is_final
    )
    return Drained(
        asked,
        succeeded,
        Counter(str(attempt.outcome) for attempt in attempts),
        Counter(Counter(attempt.job_id for attempt in attempts).values()),
        Counter(ends.values()),
        Counter(attempt.worker_id for attempt in attempts),
        seconds,
    )


def measure(runs: int, workers: int) -> str:
    """Markdown: what became of the runs.

    Raises:
        SystemExit: a run was lost, or done twice.
    """
    drained = drain(runs, workers)
    if faults := drained.faults():
        raise SystemExit("; ".join(faults))
    shares = ", ".join(str(count) for _, count in sorted(drained.by_worker.items()))
    return (
        f"{runs} runs that were queued while there was no worker: {workers} workers took {shares} "
        f"of them and were done {drained.seconds:.1f} s after the first was taken up "
        f"({runs / drained.seconds:.0f} a second). Each has one attempt, which finished, and one "
        "final event; none was lost or done twice. The workers' executor is the tests' own, which "
        "answers at once."
    )
