"""Time of a step by the roofline of a device profile (Williams et al. 2009,
doi:10.1145/1498765.1498785).

An op takes as long as its arithmetic at the device's peak, or its memory traffic at the device's
bandwidth, whichever is longer, and never less than the overhead of an op. From the tape alone.

Limitation: a real kernel reaches neither peak; what plans need is the ratio of the two, and the
order of ops by time. Allocation, Python and idle time are not in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.devices import DeviceProfile
from planner.simulation import phases_of_last_step
from planner.tape import OpFlag, Tape

_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}

# A profile that says nothing of its speed gets the ratio of a common accelerator.
_DEFAULT_FLOPS = 1e14
_DEFAULT_BANDWIDTH = 1e12


def op_seconds(tape: Tape, device: DeviceProfile) -> NDArray[np.float64]:
    """Seconds of each op of the tape, shape (ops,); 0 for views."""
    bandwidth = device.memory_bandwidth_bytes_per_s or _DEFAULT_BANDWIDTH
    arithmetic = tape.op_flops / _peak_flops(tape, device)
    traffic = (tape.op_bytes_read + tape.op_bytes_written) / bandwidth
    seconds = np.maximum(np.maximum(arithmetic, traffic), device.op_overhead_s)
    return np.where(tape.op_flags & OpFlag.view, 0.0, seconds)


def step_seconds(tape: Tape, device: DeviceProfile, micro_batches: int | None = None) -> float:
    """Seconds of the last step traced, or of the whole workload where it has no steps.

    Args:
        micro_batches: of the step, where the tape has fewer of them.
    """
    phases = phases_of_last_step(tape)
    shown = max(1, sum(tape.phases[phase].endswith("forward") for phase in phases))
    seconds = np.bincount(tape.op_phase, op_seconds(tape, device), len(tape.phases))
    total = 0.0
    for phase in phases:
        is_micro = tape.phases[phase].endswith(("forward", "backward"))
        times = micro_batches / shown if micro_batches is not None and is_micro else 1.0
        total += float(seconds[phase]) * times
    return total


def _peak_flops(tape: Tape, device: DeviceProfile) -> NDArray[np.float64]:
    """FLOP/s of the dtype that each op works in: that of its first output."""
    default = device.peak_flops.get("fp32", _DEFAULT_FLOPS)
    rates = [
        device.peak_flops.get(_PRECISIONS.get(dtype, "fp32"), default) for dtype, _ in tape.layouts
    ]
    by_layout = np.array([*rates, default], dtype=np.float64)
    first = np.minimum(tape.op_outputs_at[:-1], max(len(tape.op_outputs) - 1, 0))
    layouts = np.full(tape.op_count, len(rates), dtype=np.int64)
    has_output = tape.op_outputs_at[1:] > tape.op_outputs_at[:-1]
    if len(tape.op_outputs):
        layouts[has_output] = tape.tensor_layout[tape.op_outputs[first[has_output]]]
    result: NDArray[np.float64] = by_layout[layouts]
    return result
