"""What a kind of device decides for a trace: how ops execute, and what kernels take besides their
outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch._ops import OpOverload

from planner.device_memory import served
from planner.devices import BUILTIN, DeviceProfile
from planner.tape import Tape
from planner.tracing.fake import FakeExecution
from planner.tracing.scratch import scratch_bytes

Scratch = Callable[[OpOverload, Any, Any, Any, DeviceProfile], tuple[int, ...]]
Workspace = Callable[[OpOverload, Any, DeviceProfile, bool], tuple[Hashable, int] | None]


@dataclass(frozen=True)
class DeviceRules:
    """One device's decisions.

    Attributes:
        tensor_device: where the tensors of a job are made, in torch's words.
        active: the context in which the device can be traced.
        execution: makes what executes its ops.
        scratch: of (op, arguments, keyword arguments, result, device): bytes of each allocation
            alive together inside the op and gone after it.
        workspace: of (op, arguments, device, in backward): what the op's library allocates at its
            first use and keeps, as a key and its bytes.
        asks_kernels: kernels of this host know what they take (`planner.tracing.probe`).
        limitations: what a trace on the device leaves out, given the names of its ops.
        served: the tape as the device's allocator serves it.
    """

    device: DeviceProfile
    tensor_device: str
    active: Callable[[], AbstractContextManager[None]]
    execution: Callable[[], FakeExecution]
    scratch: Scratch
    workspace: Workspace
    asks_kernels: bool
    limitations: Callable[[Iterable[str]], list[str]] = lambda names: []
    served: Callable[[Tape], Tape] = lambda tape: tape


def rules_for(device: DeviceProfile) -> DeviceRules:
    """The rules of a device, by its kind."""
    if device.kind == "cpu":
        return DeviceRules(
            device, "cpu", nullcontext, FakeExecution, _cpu_scratch, _no_workspace, True
        )
    from planner.devices import scratch
    from planner.tracing.cuda import backend, limits  # registers nothing yet
    from planner.tracing.cuda.execution import DeviceExecution

    blas = scratch.BlasSettings.of_environment()

    return DeviceRules(
        device,
        f"{backend.NAME}:0",
        lambda: backend.active(device),
        DeviceExecution,
        scratch.scratch,
        lambda func, args, on, in_backward: scratch.workspace(func, args, on, in_backward, blas),
        False,
        limits.of_trace,
        lambda tape: served(tape, device),
    )


def _cpu_scratch(
    func: OpOverload, args: Any, kwargs: Any, result: Any, device: DeviceProfile
) -> tuple[int, ...]:
    size = scratch_bytes(func, args, kwargs)
    return (size,) if size else ()


def _no_workspace(
    func: OpOverload, args: Any, device: DeviceProfile, in_backward: bool
) -> tuple[Hashable, int] | None:
    return None


CPU = rules_for(BUILTIN["cpu"])
