"""What a child can be asked to do. Imported once, by the warm process."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from planner.accelerator.tiers import placed
from planner.check import check, check_plan
from planner.devices import DeviceProfile
from planner.errors import FieldProblem, InvalidRequest
from planner.plans import PlanRequest
from planner.predict import predict
from planner.request import SimulationRequest
from planner.trace import trace
from planner.versions import versions
from profiler.channel import Channel, JobResult
from profiler.measure_cuda import device_memory_errors
from profiler.plan_run import PlanRun
from profiler.run import check_fits, measure_request

Model = TypeVar("Model", bound=BaseModel)


def simulate(payload: dict[str, Any], channel: Channel) -> JobResult:
    """Trace on fake tensors and replay: `{"prediction", "versions"}` and the artifact `tape`."""
    request, device = _validated(payload)
    device = placed(device, request.placement)
    tape = trace(request, device, progress=lambda phase: channel.progress({"phase": phase}))
    channel.progress({"phase": "simulate"})
    prediction = predict(tape, device, request.workload.mode)
    result = {"prediction": prediction.model_dump(mode="json"), "versions": versions()}
    return JobResult(result, {"tape": tape.to_bytes()})


def plan(payload: dict[str, Any], channel: Channel) -> JobResult:
    """Find a strategy for a budget: `{"plan", "versions"}` and the certified step's `tape`."""
    # Solvers are imported by the one child in many that needs them.
    from planner.planning import make_plan

    request, device = _validated_plan(payload)
    devices = [_parsed(DeviceProfile, each) for each in payload.get("devices", [])]
    found, tape = make_plan(request, device, channel.progress, devices=devices)
    result = {"plan": found.model_dump(mode="json"), "versions": versions()}
    return JobResult(result, {"tape": tape.to_bytes()})


def context(payload: dict[str, Any], channel: Channel) -> JobResult:
    """Measure what a CUDA context takes of this process's device (`profiler.context`)."""
    from profiler.context import measure_context

    return JobResult(measure_context(), {})


def run(payload: dict[str, Any], channel: Channel) -> JobResult:
    """Execute on real tensors: `{"measured", "environment"}` and the artifact `timeline`.

    With `baseline` in the payload, also `{"baseline", "slowdown", "gradients_match"}` of
    `profiler.plan_run`, where `baseline_bytes` is what the unplanned step is expected to hold.
    """
    started = time.monotonic()
    request, device = _validated(payload)
    with device_memory_errors():
        found = measure_request(
            request,
            device_kind=device.kind,
            on_progress=channel.progress,
            timing_budget_seconds=channel.limits.timing_budget_seconds,
        )
    if device.kind == "cpu":
        check_fits(found.measured, channel.limits.memory_bytes)
    result = {
        "measured": found.measured.model_dump(mode="json"),
        "environment": found.environment,
    }
    if payload.get("baseline"):
        proof = PlanRun(
            request,
            found.measured,
            device_kind=device.kind,
            limits=channel.limits,
            started=started,
            baseline_bytes=payload.get("baseline_bytes"),
            on_progress=channel.progress,
        )
        result |= proof.prove()
    return JobResult(result, {"timeline": found.timeline.to_bytes()})


def _validated(payload: dict[str, Any]) -> tuple[SimulationRequest, DeviceProfile]:
    """Nothing is trusted: what was stored is checked again, as if a stranger had sent it."""
    request = _parsed(SimulationRequest, payload["request"])
    return check(request), _parsed(DeviceProfile, payload["device"])


def _validated_plan(payload: dict[str, Any]) -> tuple[PlanRequest, DeviceProfile]:
    request = _parsed(PlanRequest, payload["request"])
    return check_plan(request), _parsed(DeviceProfile, payload["device"])


def _parsed(kind: type[Model], data: Any) -> Model:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise InvalidRequest(
            [FieldProblem(_pointer(found["loc"]), found["msg"]) for found in error.errors()]
        ) from error


def _pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
