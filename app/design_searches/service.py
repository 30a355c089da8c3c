"""Submitting design searches."""

from __future__ import annotations

from app.context import Context
from app.engine.queues import DESIGN_SEARCHES
from app.jobs import submission
from app.models import DesignSearch
from planner.designs.request import DesignSearchRequest


async def submit(
    context: Context, request: DesignSearchRequest, key: str | None, shared: bool | None
) -> tuple[DesignSearch, bool]:
    """The search for a request, and whether it was made now; see `app.jobs.submission`."""
    return await submission.submit(
        context, DesignSearch, DESIGN_SEARCHES, context.check_design_search, request, key, shared
    )
