"""From a tape to the whole prediction: the memory replayed, and what the device's profile adds."""

from __future__ import annotations

from planner.accelerator.tiers import tier_uses
from planner.cost import calibrated, step_seconds
from planner.devices import ByteRange, DeviceProfile, Mode
from planner.prediction import Prediction
from planner.simulation import simulate
from planner.tape import Tape


def predict(tape: Tape, device: DeviceProfile, mode: Mode = "train") -> Prediction:
    """What a device holds over a tape, and how long one step of it takes.

    Args:
        mode: of the workload; a device is calibrated for each by itself.
    """
    replayed = simulate(tape)
    seconds = step_seconds(tape, device)
    calibration = device.calibration.get(mode)
    return replayed.model_copy(
        update={
            "device_bytes": device_bytes(replayed.reserved_bytes, device.context_bytes),
            "context_bytes": device.context_bytes,
            "roofline_seconds": seconds,
            "step_seconds": calibrated(seconds, calibration),
            "step_seconds_basis": "roofline" if calibration is None else "calibrated",
            "step_seconds_runs": 0 if calibration is None else calibration.runs,
            "tiers": tier_uses(tape, device) if device.tiers else None,
            "limitations": [*replayed.limitations, *device.limitations],
        }
    )


def device_bytes(reserved_bytes: int | None, context: ByteRange | None) -> int | None:
    """What the driver shows: the allocator's segments and the context, at its upper bound so that
    no step is said to fit that might not; None where either is unknown.
    """
    if reserved_bytes is None or context is None:
        return None
    return reserved_bytes + context.high_bytes
