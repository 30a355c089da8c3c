"""Predicted beside measured, phase by phase: `python -m profiler.compare request.json`.

A tool for hunting deviations. It runs in this process; the service uses the executor.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from planner.check import check
from planner.prediction import Prediction
from planner.quantities import format_bytes
from planner.request import SimulationRequest
from profiler.measured import Measured
from profiler.run import measure_request


def main() -> int:
    """Print the table; the exit status is 1 where the peaks differ by more than `--tolerance`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "request", type=Path, help="a body of POST /v1/simulations, as JSON; - reads stdin"
    )
    parser.add_argument("--tolerance", type=float, default=0.001, help="relative error of the peak")
    parser.add_argument("--measured-only", action="store_true", help="do not trace")
    parser.add_argument("--seconds", action="store_true", help="also time the step")
    arguments = parser.parse_args()
    body = sys.stdin.read() if str(arguments.request) == "-" else arguments.request.read_text()
    request = check(SimulationRequest.model_validate(json.loads(body)))
    prediction = None if arguments.measured_only else predict(request)
    measured = measure_request(
        request, timing_budget_seconds=60.0 if arguments.seconds else 0.0
    ).measured
    for line in table(prediction, measured):
        print(line)
    if prediction is None:
        return 0
    return int(
        abs(relative_error(prediction.peak_bytes, measured.peak_bytes)) > arguments.tolerance
    )


def predict(request: SimulationRequest) -> Prediction:
    """Trace and simulate in this process."""
    from planner.devices import BUILTIN
    from planner.simulation import simulate
    from planner.trace import trace

    return simulate(trace(request, BUILTIN[request.device]))


def relative_error(predicted: int, measured: int) -> float:
    """(predicted - measured) / measured; 0 where both are 0."""
    return (predicted - measured) / measured if measured else float(predicted != 0)


def table(prediction: Prediction | None, measured: Measured) -> list[str]:
    """Lines of text: a row a phase, then the peak."""
    predicted: dict[str, Any] = (
        {phase.name: phase for phase in prediction.phases} if prediction else {}
    )
    lines = [
        f"{'phase':<24}{'':>6}{'predicted':>16}{'measured':>16}{'difference':>14}{'error':>11}"
    ]
    for phase in measured.phases:
        other = predicted.pop(phase.name, None)
        for which in ("peak", "end"):
            mine = getattr(phase, f"{which}_bytes")
            lines.append(_row(phase.name, which, other and getattr(other, f"{which}_bytes"), mine))
    lines += [f"{name:<24}  predicted, but no such phase was measured" for name in predicted]
    lines.append(
        _row("PEAK", "", prediction.peak_bytes if prediction else None, measured.peak_bytes)
        + f"  {format_bytes(measured.peak_bytes)} in {measured.peak_phase}"
    )
    if measured.step_seconds is not None:
        lines.append(f"step_seconds {measured.step_seconds:.4f} of {measured.step_seconds_samples}")
    return lines + [f"note: {note}" for note in measured.notes]


def _row(name: str, which: str, predicted: int | None, measured: int) -> str:
    if predicted is None:
        return f"{name:<24}{which:>6}{'-':>16}{measured:>16}"
    error = relative_error(predicted, measured)
    numbers = f"{predicted:>16}{measured:>16}{predicted - measured:>+14}{error:>+11.4%}"
    return f"{name:<24}{which:>6}{numbers}"


if __name__ == "__main__":
    raise SystemExit(main())
