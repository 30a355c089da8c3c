"""Time of a step by the roofline of a device profile (Williams et al. 2009,
doi:10.1145/1498765.1498785).

An op takes as long as its arithmetic at the device's peak, or its memory traffic at the device's
bandwidth, whichever is longer, and never less than the overhead of an op. From the tape alone.

Arithmetic is at the peak of the dtype that an op reads, as torch's defaults have it: products of
fp32 stay in fp32 (`torch.backends.cuda.matmul.allow_tf32` is False), while cuDNN may take TF32 for
fp32 convolutions and recurrent cells (`torch.backends.cudnn.allow_tf32` is True). A dtype that the
profile has no peak for goes at the speed of fp32.

Limitation: a real kernel reaches neither peak; what plans need is the ratio of the two, and the
order of ops by time. Allocation, Python and idle time are not in it: `calibrated` scales by what
runs on the device have shown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from planner.devices import Calibration, DeviceProfile
from planner.devices.profile import FlopsKey
from planner.simulation import phases_of_last_step
from planner.tape import OpFlag, Tape

_KEYS: dict[str, FlopsKey] = {
    "float64": "fp64",
    "float32": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
    "int8": "int8",
}
_CUDNN = ("convolution", "cudnn")
"""In the names of ops that cuDNN does, where the device is NVIDIA's."""

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


def calibrated(seconds: float, calibration: Calibration | None) -> float:
    """Seconds of the roofline as measured runs would have it; the same where there were none."""
    return seconds if calibration is None else seconds * calibration.ratio


def _peak_flops(tape: Tape, device: DeviceProfile) -> NDArray[np.float64]:
    """FLOP/s of each op, by the dtype that it works in and by who does it."""
    default = device.peak_flops.get("fp32", _DEFAULT_FLOPS)
    keys = [_KEYS.get(dtype, "fp32") for dtype, _ in tape.layouts]
    by_layout = np.array([*(device.peak_flops.get(key, default) for key in keys), default])
    layouts = _working_layouts(tape)
    rates: NDArray[np.float64] = by_layout[layouts]
    tf32 = device.peak_flops.get("tf32")
    if tf32 is not None and device.compute_capability is not None:
        is_fp32 = np.array([*(key == "fp32" for key in keys), False])[layouts]
        is_cudnn = np.array([any(word in name for word in _CUDNN) for name in tape.names])
        rates = np.where(is_fp32 & is_cudnn[tape.op_name], tf32, rates)
    return rates


def _working_layouts(tape: Tape) -> NDArray[np.int64]:
    """Layout of the first input of each op whose dtype has a peak, else of its first output, else
    `len(tape.layouts)`: a product reads the dtype that it works in, and may write another.
    """
    unknown = len(tape.layouts)
    known = np.array([*(dtype in _KEYS for dtype, _ in tape.layouts), False])
    found = np.full(tape.op_count, unknown, dtype=np.int64)
    columns = ((tape.op_inputs, tape.op_inputs_at), (tape.op_outputs, tape.op_outputs_at))
    for tensors, offsets in columns:
        layouts = tape.tensor_layout[tensors].astype(np.int64)
        places = np.flatnonzero(known[layouts])
        ops = np.searchsorted(offsets, places, side="right") - 1
        first_ops, first = np.unique(ops, return_index=True)
        missing = found[first_ops] == unknown
        found[first_ops[missing]] = layouts[places[first[missing]]]
    return found
