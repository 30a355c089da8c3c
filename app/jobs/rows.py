"""Columns of new rows. Workers import it: no HTTP here."""

from __future__ import annotations

import hashlib
from typing import Any

from app.kit.ids import new_id
from app.models import JobStatus
from planner.designs.request import DesignSearchRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest
from planner.versions import versions


def reusable_hash(digest: str, owner: str | None) -> str:
    """What tells an owner's request apart from all others, also from the same one of another.

    Args:
        digest: of the request, from `content_hash`.
    """
    if owner is None:
        return digest
    return hashlib.sha256(f"{digest} of {owner}".encode()).hexdigest()


def answer_values(
    prefix: str,
    queue: str,
    request: SimulationRequest | PlanRequest,
    digest: str,
    owner: str | None,
    shared: bool,
) -> dict[str, Any]:
    """Columns of a new row whose answer identical requests share.

    Args:
        prefix: of the row's id.
        request: as checked, with its preset resolved.
        digest: of the request, from `content_hash`.
        owner: whose it is.
        shared: whether others see it.
    """
    model = request.model
    values = {
        "id": new_id(prefix),
        "status": JobStatus.QUEUED,
        "queue": queue,
        "owner": owner,
        "shared": shared,
        "request": request.model_dump(mode="json"),
        "versions": versions(),
        "content_hash": digest,
        "reusable_hash": reusable_hash(digest, owner),
        "model_type": getattr(model, "config", {}).get("model_type"),
        "task": getattr(model, "task", None),
        "mode": request.workload.mode,
        "device": request.device,
    }
    if isinstance(request, DesignSearchRequest):
        values["objective"] = request.objective
    return values
