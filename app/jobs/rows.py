"""Columns of new rows. Workers import it: no HTTP here."""

from __future__ import annotations

from typing import Any

from app.kit.ids import new_id
from app.models import JobStatus
from planner.designs.request import DesignSearchRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest
from planner.versions import versions


def answer_values(
    prefix: str, queue: str, request: SimulationRequest | PlanRequest, digest: str
) -> dict[str, Any]:
    """Columns of a new row whose answer identical requests share.

    Args:
        prefix: of the row's id.
        request: as checked, with its preset resolved.
        digest: of the request, from `content_hash`.
    """
    model = request.model
    values = {
        "id": new_id(prefix),
        "status": JobStatus.QUEUED,
        "queue": queue,
        "request": request.model_dump(mode="json"),
        "versions": versions(),
        "content_hash": digest,
        "reusable_hash": digest,
        "model_type": getattr(model, "config", {}).get("model_type"),
        "task": getattr(model, "task", None),
        "mode": request.workload.mode,
        "device": request.device,
    }
    if isinstance(request, DesignSearchRequest):
        values["objective"] = request.objective
    return values
