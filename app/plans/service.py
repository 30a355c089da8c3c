"""Submitting plans."""

from __future__ import annotations

from app.context import Context
from app.engine.queues import PLANS
from app.jobs import submission
from app.models import Plan
from planner.plans import PlanRequest


async def submit(
    context: Context, request: PlanRequest, key: str | None, shared: bool | None
) -> tuple[Plan, bool]:
    """The plan for a request, and whether it was made now; see `app.jobs.submission`."""
    return await submission.submit(context, Plan, PLANS, context.check_plan, request, key, shared)
