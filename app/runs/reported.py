"""Runs that were made elsewhere: what somebody's own training script measured."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from app.context import Context
from app.jobs import comparison, lifecycle
from app.kit.clock import current_time
from app.kit.ids import new_id
from app.models import JobStatus, Run
from app.runs.schemas import RunCreate
from app.runs.subject import Subject
from profiler.measured import Measured

QUEUE = "reported"
"""Stands where others have a queue; nobody listens to it."""
_NOTE = "reported by the script that ran it; phases are not told apart"


async def reported_run(
    session: AsyncSession, context: Context, body: RunCreate, subject: Subject, shared: bool | None
) -> Run:
    """A finished run with what was measured elsewhere. It calibrates no device: nobody here saw
    what it ran on.
    """
    reported = body.measured
    assert reported is not None
    measured = Measured(
        **reported.model_dump(exclude={"notes"}),
        peak_phase="training",
        phases=[],
        start_bytes=0,
        notes=[_NOTE, *reported.notes],
    )
    predicted = comparison.predicted(subject.prediction)
    run = Run(
        id=new_id(Run.prefix),
        status=JobStatus.RUNNING,
        queue=QUEUE,
        owner=context.caller.owner,
        shared=context.settings.share_by_default if shared is None else shared,
        simulation_id=body.simulation_id,
        plan_id=body.plan_id,
        labels={},
        model_type=subject.model_type,
        task=subject.task,
        mode=subject.mode,
        device=subject.device,
        predicted=predicted,
        measured=measured.model_dump(mode="json"),
        environment=None if body.environment is None else body.environment.model_dump(mode="json"),
        relative_error=comparison.relative_error(predicted["peak_bytes"], reported.peak_bytes),
        started_at=await current_time(session),
    )
    session.add(run)
    await session.flush()
    await lifecycle.finish(session, run, JobStatus.SUCCEEDED)
    return run
