"""Predicted beside measured, phase by phase: `python -m profiler.compare request.json`.

A tool for hunting deviations. Both numbers come from children of an executor, as in the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from planner.devices import builtin_device
from planner.prediction import Prediction
from planner.quantities import format_bytes
from profiler.executor import Executor
from profiler.limits import Limits
from profiler.measured import Measured
from profiler.outcome import Outcome


def main() -> int:
    """Print the table; the exit status is 1 where the peaks differ by more than `--tolerance`."""
    arguments = _arguments()
    body = sys.stdin.read() if str(arguments.request) == "-" else arguments.request.read_text()
    limits = Limits(3600.0, timing_budget_seconds=60.0 if arguments.seconds else 0.0)
    prediction, measured = asyncio.run(
        predict_and_measure(json.loads(body), limits, trace=not arguments.measured_only)
    )
    for line in table(prediction, measured):
        print(line)
    if prediction is None:
        return 0
    error = relative_error(prediction.peak_bytes, measured.peak_bytes)
    return int(abs(error) > arguments.tolerance)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "request", type=Path, help="a body of POST /v1/simulations, as JSON; - reads stdin"
    )
    parser.add_argument("--tolerance", type=float, default=0.001, help="relative error of the peak")
    parser.add_argument("--measured-only", action="store_true", help="do not trace")
    parser.add_argument("--seconds", action="store_true", help="also time the step")
    return parser.parse_args()


async def predict_and_measure(
    request: dict[str, Any], limits: Limits, *, trace: bool = True
) -> tuple[Prediction | None, Measured]:
    """Simulate the request, if asked to, and run it.

    Raises:
        SystemExit: one of the two failed; its problem is the message.
    """
    device = builtin_device(request.get("device", "cpu")).model_dump(mode="json")
    prediction = None
    async with Executor() as executor:
        if trace:
            simulated = _result(await executor.simulate(request, device, limits=limits))
            prediction = Prediction.model_validate(simulated["prediction"])
        ran = _result(await executor.run(request, device, limits=limits))
    return prediction, Measured.model_validate(ran["measured"])


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.result is None:
        problem = json.dumps(outcome.problem, indent=2)
        raise SystemExit(f"{outcome.exit.log}\n{outcome.status}: {problem}")
    return outcome.result


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
