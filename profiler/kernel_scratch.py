"""What kernels allocate beyond their outputs: `python -m profiler.kernel_scratch request.json`.

Executes the real step on the CPU below a dispatch mode that sees the same ops as the tracer does,
and attributes each of the allocator's reports to the op that ran. For the planner's scratch table.

Limitation: below a dispatch mode autograd adds gradients out of place, and Python numbers are
wrapped in tensors of their own; this is about kernels, and `profiler.compare` about peaks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.profiler import record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from planner.allocations import Allocations, Mark, record_allocations
from planner.check import check
from planner.request import SimulationRequest
from planner.step import execute, prepare
from profiler.marks import TraceMarks

OP_PREFIX = "headroom-op/"


@dataclass(frozen=True)
class Call:
    """One op as it was called: its name, the operands' layouts, the bytes of its new storages."""

    op: str
    operands: str
    phase: str
    output_bytes: int


@dataclass
class Scratch:
    """Bytes inside one kind of call that its outputs do not explain.

    Attributes:
        peak_bytes: most bytes held at once beyond the outputs.
        left_bytes: bytes still held when the op returned that are in no output.
    """

    call: Call
    peak_bytes: int
    left_bytes: int
    count: int = 1


class OpMarks(TorchDispatchMode):
    """Marks every op in the recording, and notes what it returned."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []
        self.phase = ""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.namespace == "profiler":
            return func(*args, **(kwargs or {}))
        known = _storages((args, kwargs))
        operands = " ".join(_layout(value) for value in tree_leaves((args, kwargs)))
        with record_function(f"{OP_PREFIX}{len(self.calls)}"):
            result = func(*args, **(kwargs or {}))
        new = {key: size for key, size in _storages(result).items() if key not in known}
        self.calls.append(Call(str(func), operands, self.phase, sum(new.values())))
        return result


class OpHooks(TraceMarks):
    """Marks the phases too, and tells each op's mark which phase it is in."""

    def __init__(self, mode: OpMarks) -> None:
        super().__init__(lambda message: None)
        self._mode = mode

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        self._mode.phase = phase
        super().enter(phase)


def kernel_scratch(request: SimulationRequest, steps: int = 2) -> list[Scratch]:
    """Execute the request's steps; scratch by kind of call, largest first."""
    mode = OpMarks()
    job = prepare(request, "cpu")

    def workload() -> None:
        execute(job, OpHooks(mode), steps)

    return attribute(mode, workload)


def scratch_of(function: Callable[[], object]) -> list[Scratch]:
    """The same for any code that calls torch on CPU tensors."""
    return attribute(OpMarks(), function)


def attribute(mode: OpMarks, function: Callable[[], object]) -> list[Scratch]:
    """Call the function under recording, and give every allocation to the op that made it."""
    with record_allocations() as recorded, mode:
        function()
    marks = [mark for mark in recorded.marks if mark.name.startswith(OP_PREFIX)]
    found: dict[tuple[str, str], Scratch] = {}
    for mark in marks:
        call = mode.calls[int(mark.name.removeprefix(OP_PREFIX))]
        peak, left = _inside(recorded, mark)
        scratch = Scratch(call, max(0, peak - max(call.output_bytes, 0)), left - call.output_bytes)
        if not scratch.peak_bytes and not scratch.left_bytes:
            continue
        first = found.setdefault((call.op, call.operands), scratch)
        if first is not scratch:
            first.count += 1
            first.peak_bytes = max(first.peak_bytes, scratch.peak_bytes)
    return sorted(found.values(), key=lambda scratch: -scratch.peak_bytes)


def _inside(recorded: Allocations, mark: Mark) -> tuple[int, int]:
    first, last = np.searchsorted(recorded.time_ns, [mark.start_ns, mark.end_ns])
    running = np.cumsum(recorded.delta_bytes[first:last])
    return (int(max(running.max(), 0)), int(running[-1])) if len(running) else (0, 0)


def _storages(values: Any) -> dict[int, int]:
    tensors = [value for value in tree_leaves(values) if isinstance(value, Tensor)]
    strided = [tensor for tensor in tensors if tensor.layout is torch.strided]
    return {
        tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in strided
    }


def _layout(value: Any) -> str:
    if not isinstance(value, Tensor):
        return str(value)[:40]
    dtype = str(value.dtype).removeprefix("torch.")
    strides = "" if value.is_contiguous() else f"/{tuple(value.stride())}"
    return f"{dtype}{list(value.shape)}{strides}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("request", type=Path, help="a body of POST /v1/simulations, as JSON")
    parser.add_argument("--limit", type=int, default=40, help="rows")
    parser.add_argument("--threads", type=int, help="torch.set_num_threads")
    arguments = parser.parse_args()
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    request = check(SimulationRequest.model_validate(json.loads(arguments.request.read_text())))
    rows = kernel_scratch(request)
    print(f"threads {torch.get_num_threads()}; {len(rows)} kinds of calls allocate beyond outputs")
    print(f"{'scratch':>14}{'left':>12}{'outputs':>14}{'calls':>7}  op")
    for row in rows[: arguments.limit]:
        print(
            f"{row.peak_bytes:>14}{row.left_bytes:>12}{row.call.output_bytes:>14}{row.count:>7}  "
            f"{row.call.op} ({row.call.phase}) {row.call.operands[:300]}"
        )


if __name__ == "__main__":
    main()
