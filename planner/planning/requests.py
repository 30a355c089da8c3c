"""Plans of requests: `make_plan`."""

from __future__ import annotations

from typing import Any

import psutil

from planner.devices import BUILTIN, DeviceProfile
from planner.errors import InvalidRequest
from planner.planning.make import OnProgress, Wishes, find_plan
from planner.planning.solve_for import solve_device, solve_size
from planner.plans import Plan, PlanRequest
from planner.request import TransformersModel
from planner.step import Job, prepare
from planner.strategy import Strategy
from planner.tape import Tape
from planner.tracing.rules import rules_for


def make_plan(
    request: PlanRequest,
    device: DeviceProfile,
    progress: OnProgress = lambda message: None,
    *,
    devices: list[DeviceProfile] | None = None,
    helpers: int | None = None,
) -> tuple[Plan, Tape]:
    """The cheapest certified strategy for a request, and the tape of its step.

    Call it in a process of its own: it forks, and patches library functions while it runs.

    Args:
        request: with its preset resolved (`planner.check.check_plan`).
        progress: told `{"phase": ..., "frontier": [...]}`, the frontier as it is certified.
        devices: profiles to choose among where the device is asked for; by default those built in.
        helpers: processes that simulate beside this one; by default one for each further core.

    Raises:
        InvalidRequest: the request contradicts itself, or a pattern matches nothing.
        HeadroomError: the model cannot be built or its plain step fails.
    """

    def make(asked: PlanRequest, on: DeviceProfile, tell: OnProgress) -> tuple[Plan, Tape]:
        return _make_one(asked, on, tell, helpers)

    if request.solve_for == "device":
        return solve_device(make, request, devices or list(BUILTIN.values()), progress)
    if request.solve_for is not None:
        return solve_size(make, request, device, progress)
    return make(request, device, progress)


def _make_one(
    request: PlanRequest, device: DeviceProfile, progress: OnProgress, helpers: int | None
) -> tuple[Plan, Tape]:
    if request.allow is not None and "offload" in request.allow and device.kind == "cpu":
        raise InvalidRequest.at(
            f"/allow/{request.allow.index('offload')}",
            "a CPU's memory is the host's own, so nothing can be offloaded to it",
            "leave it out",
        )

    where = rules_for(device).tensor_device

    def factory(shape: Strategy) -> Job:
        return prepare(request.simulation(shape), where)

    wishes = Wishes(
        budget_bytes=budget_of(request, device),
        allowed=request.allowed,
        patterns=request.units,
        solver=request.solver,
        points=request.frontier_points,
        batch_size=request.workload.batch_size,
        shapes=_shapes(request),
        helpers=helpers,
    )
    return find_plan(factory, device, wishes, progress)


def budget_of(request: PlanRequest, device: DeviceProfile) -> int:
    """Bytes that the step may hold: the budget's, the device's, or the host's."""
    memory = request.budget.memory or device.memory_bytes
    return memory if memory is not None else int(psutil.virtual_memory().total)


def _shapes(request: PlanRequest) -> list[Strategy]:
    """Other attention, precision and optimizer states, one by one and all together."""
    changes: list[dict[str, Any]] = []
    if "attention" in request.allowed and _may_use_sdpa(request.model):
        changes.append({"attention": "sdpa"})
    if "optimizer_states" in request.allowed and request.workload.optimizer.name in _ADAMS:
        changes.append({"optimizer_states": "8bit"})
    if "precision" in request.allowed and request.workload.precision == "fp32":
        changes.append({"precision": "amp-bf16"})
    if len(changes) > 1:
        together: dict[str, Any] = {}
        for change in changes:
            together |= change
        changes.append(together)
    return [Strategy(**change) for change in changes]


_ADAMS = ("adam", "adamw")


def _may_use_sdpa(model: Any) -> bool:
    if not isinstance(model, TransformersModel) or model.attention != "eager":
        return False
    import transformers

    from planner.models.tasks import class_names

    name = class_names(model.task)[model.config["model_type"]][1]
    return bool(getattr(transformers, name)._supports_sdpa)
