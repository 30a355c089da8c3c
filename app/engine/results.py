"""From the outcome of a job to the columns of its row."""

from __future__ import annotations

from typing import Any

from app.jobs import comparison
from app.jobs.lifecycle import Job
from app.models import DesignSearch, JobStatus, Plan, Run, Simulation
from planner.designs.answer import DesignSearchAnswer
from planner.plans import Plan as FoundPlan
from planner.prediction import Prediction
from profiler.outcome import Outcome


def fill(job: Job, outcome: Outcome) -> JobStatus:
    """Write what came out to the row and tell the state that it ends in."""
    result = outcome.result
    if result is not None:
        if isinstance(job, Run):
            _fill_run(job, result)
        elif isinstance(job, Plan):
            _fill_plan(job, result)
        elif isinstance(job, DesignSearch):
            _fill_design_search(job, result)
        else:
            _fill_simulation(job, result)
    status = JobStatus(outcome.status)
    if status is JobStatus.OUT_OF_MEMORY and not isinstance(job, Run):
        return JobStatus.FAILED
    return status


def _fill_simulation(simulation: Simulation, result: dict[str, Any]) -> None:
    prediction = Prediction.model_validate(result["prediction"])
    simulation.prediction = prediction.model_dump(mode="json")
    simulation.peak_bytes = prediction.peak_bytes
    simulation.versions = result.get("versions") or simulation.versions


def _fill_plan(plan: Plan, result: dict[str, Any]) -> None:
    found = FoundPlan.model_validate(result["plan"])
    plan.plan = found.model_dump(mode="json")
    plan.feasible = found.feasible
    plan.budget_bytes = found.budget_bytes
    plan.peak_bytes = None if found.prediction is None else found.prediction.peak_bytes
    plan.versions = result.get("versions") or plan.versions


def _fill_design_search(search: DesignSearch, result: dict[str, Any]) -> None:
    answer = DesignSearchAnswer.model_validate(result["answer"])
    search.answer = answer.model_dump(mode="json")
    search.feasible = answer.best is not None
    if answer.best is not None and answer.best.metrics is not None:
        search.best_value = getattr(answer.best.metrics, search.objective)
    search.versions = result.get("versions") or search.versions


def _fill_run(run: Run, result: dict[str, Any]) -> None:
    run.environment = result.get("environment")
    run.baseline = result.get("baseline")
    run.gradients_match = result.get("gradients_match")
    run.slowdown = result.get("slowdown")
    run.measured = measured = result.get("measured")
    if measured is not None:
        run.relative_error = comparison.relative_error(
            run.predicted["peak_bytes"], measured["peak_bytes"]
        )
        run.phases = comparison.compare_phases(run.predicted, measured)
