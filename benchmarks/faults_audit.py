"""What must be true of the store when all is over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from app.models import Event, JobAttempt, JobStatus, Simulation
from app.models.attempt import AttemptOutcome
from app.settings import Settings
from benchmarks.faults_job import expected_peak


@dataclass
class Audit:
    """What was found.

    Attributes:
        ends: jobs by how they ended.
        attempts: jobs by how many times a worker took them up.
        outcomes: attempts by how they ended.
        violations: everything that must not be; empty is what is hoped for.
    """

    ends: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def audit(settings: Settings, jobs: Mapping[int, str], seed: int) -> Audit:
    """Look at every job that a client was told of, by its number."""
    found = Audit()
    engine = create_engine(settings.url)
    with Session(engine) as session:
        rows = {row.id: row for row in session.scalars(select(Simulation))}
        attempts: defaultdict[str, list[JobAttempt]] = defaultdict(list)
        for attempt in session.scalars(select(JobAttempt).order_by(JobAttempt.number)):
            attempts[attempt.job_id].append(attempt)
        ends: Counter[str] = Counter(
            event.resource_id
            for event in session.scalars(select(Event).where(Event.kind == "simulation"))
            if JobStatus(event.data["status"]).is_final
        )
        if extra := rows.keys() - set(jobs.values()):
            found.violations.append(f"{len(extra)} jobs that no client knows of")
        if len(set(jobs.values())) != len(jobs):
            found.violations.append("two requests were answered with one job")
        for number, job_id in jobs.items():
            if (row := rows.get(job_id)) is None:
                found.violations.append(f"{job_id} is lost")
                continue
            if ends[job_id] != 1:
                found.violations.append(f"{job_id} has {ends[job_id]} events of a final state")
            _judge(found, row, attempts[job_id], expected_peak(number, seed), settings)
    engine.dispose()
    return found


def _judge(
    found: Audit, row: Simulation, attempts: list[JobAttempt], peak: int, settings: Settings
) -> None:
    found.attempts[len(attempts)] += 1
    found.outcomes.update(str(attempt.outcome) for attempt in attempts)
    outcomes = Counter(attempt.outcome for attempt in attempts)
    finished = [each for each in attempts if each.outcome == AttemptOutcome.FINISHED]
    wrong = found.violations.append
    if outcomes[None]:
        wrong(f"{row.id} has an attempt that never ended")
    if [each.number for each in attempts] != list(range(1, len(attempts) + 1)):
        wrong(f"{row.id} has attempts {[each.number for each in attempts]}")
    if outcomes[AttemptOutcome.LOST] > settings.max_attempts:
        wrong(f"{row.id} was tried {outcomes[AttemptOutcome.LOST]} times")
    problem: dict[str, Any] = row.problem or {}
    if row.status == JobStatus.SUCCEEDED:
        found.ends["succeeded"] += 1
        stored = (row.prediction or {}).get("peak_bytes")
        if (row.peak_bytes, stored) != (peak, peak):
            wrong(f"{row.id} answers {row.peak_bytes} and {stored} instead of {peak}")
        if len(finished) != 1:
            wrong(f"{row.id} has succeeded {len(finished)} times")
    elif row.status == JobStatus.FAILED and len(finished) == 1:
        signal = (finished[0].exit or {}).get("signal")
        found.ends[f"failed: its child was killed ({signal}), as recorded"] += 1
        if signal != "SIGKILL":
            wrong(f"{row.id} failed for no reason that was given to it: {problem}")
    elif row.status == JobStatus.FAILED and not finished:
        lost = outcomes[AttemptOutcome.LOST]
        found.ends[f"failed: {lost} workers died under it"] += 1
        if lost != settings.max_attempts:
            wrong(f"{row.id} was given up after {lost} attempts: {problem}")
    else:
        wrong(f"{row.id} is {row.status} with {len(finished)} finished attempts")
