"""What `/metrics` tells of the fleet: the same from every replica, since it is in the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.queues import ANSWERING
from app.jobs import lifecycle
from app.jobs.lifecycle import Job
from app.kit.clock import current_time
from app.models import JobStatus, Run, Tally, Worker, WorkerState
from app.models.attempt import AttemptOutcome
from app.models.base import UNFINISHED
from app.settings import Settings
from app.telemetry import tallies
from app.telemetry.tallies import Name
from app.workers.service import TAKING, all_workers, state_of

WINDOW = timedelta(days=7)
"""How far back predictions are compared with what was measured."""
_MOST_RUNS = 10_000
_MOST_FAMILIES = 200


async def collect(session: AsyncSession, settings: Settings) -> list[Metric]:
    """Everything that the database tells, as metric families."""
    workers = await all_workers(session)
    return [
        await _stored_jobs(session),
        *await _queues(session, workers),
        *_counters(await tallies.all_tallies(session)),
        *await _prediction_errors(session),
        *_workers(workers, settings, await current_time(session)),
        await _size(session),
    ]


async def _stored_jobs(session: AsyncSession) -> Metric:
    family = GaugeMetricFamily("headroom_jobs", "Stored jobs", labels=["kind", "status"])
    for table in lifecycle.TABLES:
        counts = select(table.status, func.count()).group_by(table.status)
        found: dict[str, int] = {row[0]: row[1] for row in await session.execute(counts)}
        for status in _statuses(table):
            family.add_metric([table.kind, status], found.get(status, 0))
    return family


async def _queues(session: AsyncSession, workers: Iterable[Worker]) -> list[Metric]:
    jobs = GaugeMetricFamily("headroom_queue_jobs", "Unfinished jobs", labels=["queue", "status"])
    oldest = GaugeMetricFamily(
        "headroom_queue_oldest_job_age_seconds",
        "Time since the acceptance of the oldest job that is queued; 0 where none is",
        labels=["queue"],
    )
    # Queues that somebody listens to are there also while they are empty.
    counts: dict[str, dict[str, int]] = {queue: {} for queue in ANSWERING}
    counts |= {worker.run_queue: {} for worker in workers}
    ages: dict[str, float] = defaultdict(float)
    now = await current_time(session)
    for table in lifecycle.TABLES:
        unfinished = (
            select(table.queue, table.status, func.count(), func.min(table.created_at))
            .where(table.status.in_(UNFINISHED))
            .group_by(table.queue, table.status)
        )
        for queue, status, count, first in (await session.execute(unfinished)).all():
            of_queue = counts.setdefault(queue, {})
            of_queue[status] = of_queue.get(status, 0) + count
            if status == JobStatus.QUEUED:
                ages[queue] = max(ages[queue], (now - first).total_seconds())
    for queue, found in counts.items():
        for status in UNFINISHED:
            jobs.add_metric([queue, status], found.get(status, 0))
        oldest.add_metric([queue], ages[queue])
    return [jobs, oldest]


def _counters(found: Iterable[Tally]) -> Iterator[Metric]:
    """Whatever can be counted is there from the start, at 0: Prometheus would miss a first 1."""
    by_name: dict[str, list[Tally]] = defaultdict(list)
    for tally in found:
        by_name[tally.name].append(tally)
    ends = [(table.kind, str(status)) for table in lifecycle.TABLES for status in _ends(table)]
    attempts = [(table.kind, str(end)) for table in lifecycle.TABLES for end in AttemptOutcome]
    for name, metric, words, label, possible in (
        (Name.JOBS, "headroom_jobs_ended", "Jobs that ended, by their last status", "status", ends),
        (Name.FAILURES, "headroom_job_problems", "Jobs that ended with a problem", "problem", []),
        (Name.ATTEMPTS, "headroom_job_attempts_ended", "Attempts, by end", "outcome", attempts),
    ):
        counter = CounterMetricFamily(metric, words, labels=["kind", label])
        counts = {(tally.kind, tally.outcome): tally.count for tally in by_name[name]}
        for labels, count in {**dict.fromkeys(possible, 0), **counts}.items():
            counter.add_metric(labels, count)
        yield counter
    for name, metric, words in (
        (
            Name.QUEUE,
            "headroom_job_queue_seconds",
            "Time from the acceptance of jobs to the start of their last attempt",
        ),
        (
            Name.EXECUTION,
            "headroom_job_execution_seconds",
            "Time from the start of the last attempt of jobs to their end",
        ),
    ):
        histogram = HistogramMetricFamily(metric, words, labels=["kind"])
        for table in lifecycle.TABLES:
            of_kind = [tally for tally in by_name[name] if tally.kind == table.kind]
            _add_histogram(histogram, table.kind, of_kind)
        yield histogram


def _statuses(table: type[Job]) -> list[JobStatus]:
    """Those that a job of the kind can have."""
    return [each for each in JobStatus if table is Run or each is not JobStatus.OUT_OF_MEMORY]


def _ends(table: type[Job]) -> list[JobStatus]:
    return [status for status in _statuses(table) if status.is_final]


def _add_histogram(family: HistogramMetricFamily, kind: str, found: list[Tally]) -> None:
    """Prometheus' buckets are cumulative."""
    counts = dict.fromkeys(tallies.BUCKETS, 0) | {tally.le: tally.count for tally in found}
    beyond, total = counts.pop(tallies.BEYOND, 0), 0
    buckets: list[tuple[str, float]] = []
    for bound, count in sorted(counts.items()):
        total += count
        buckets.append((str(bound), total))
    buckets.append(("+Inf", total + beyond))
    family.add_metric([kind], buckets, sum_value=sum(tally.seconds for tally in found))


async def _prediction_errors(session: AsyncSession) -> list[Metric]:
    """Of the newest runs within the window, whatever their number: bounded work."""
    labels = ["device", "model_type"]
    span = f"over runs of the last {WINDOW.days} days (at most the newest {_MOST_RUNS})"
    mean = GaugeMetricFamily(
        "headroom_recent_prediction_error_mean_ratio",
        f"Mean of |predicted - measured| / measured peak memory {span}",
        labels=labels,
    )
    largest = GaugeMetricFamily(
        "headroom_recent_prediction_error_max_ratio",
        f"Largest |predicted - measured| / measured peak memory {span}",
        labels=labels,
    )
    count = GaugeMetricFamily(
        "headroom_recent_measured_runs", f"Runs that were measured, {span}", labels=labels
    )
    since = await current_time(session) - WINDOW
    newest = (
        select(Run.device, Run.model_type, func.abs(Run.relative_error).label("error"))
        .where(Run.finished_at >= since, Run.relative_error.is_not(None))
        .order_by(Run.finished_at.desc())
        .limit(_MOST_RUNS)
        .subquery()
    )
    error = newest.c.error
    families = (
        select(newest.c.device, newest.c.model_type, func.avg(error), func.max(error), func.count())
        .group_by(newest.c.device, newest.c.model_type)
        .order_by(func.count().desc())
        .limit(_MOST_FAMILIES)
    )
    for device, model_type, mean_error, max_error, runs in await session.execute(families):
        key = [device, model_type or "custom"]
        mean.add_metric(key, mean_error)
        largest.add_metric(key, max_error)
        count.add_metric(key, runs)
    return [mean, largest, count]


def _workers(workers: Iterable[Worker], settings: Settings, now: datetime) -> list[Metric]:
    states = GaugeMetricFamily("headroom_workers", "Workers known", labels=["state"])
    up = GaugeMetricFamily(
        "headroom_worker_up",
        "1 while the worker takes jobs, else 0",
        labels=["worker", "device", "device_name"],
    )
    counts: dict[WorkerState, int] = defaultdict(int)
    for worker in workers:
        state = state_of(worker, settings, now)
        counts[state] += 1
        labels = [worker.id, _text(worker.labels, "device"), _text(worker.device, "name")]
        up.add_metric(labels, state in TAKING)
    for state in WorkerState:
        states.add_metric([state], counts[state])
    return [states, up]


def _text(found: dict[str, Any], name: str) -> str:
    return str(found.get(name) or "")


async def _size(session: AsyncSession) -> Metric:
    family = GaugeMetricFamily("headroom_database_size_bytes", "Size of the database")
    query = "SELECT pg_database_size(current_database())"
    if session.get_bind().dialect.name == "sqlite":
        query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    family.add_metric([], float(await session.scalar(text(query)) or 0))
    return family
