"""Predicted beside measured."""

from __future__ import annotations

from typing import Any

PREDICTED_FIELDS = (
    "peak_bytes",
    "peak_phase",
    "phases",
    "reserved_bytes",
    "device_bytes",
    "step_seconds",
    "step_seconds_basis",
    "roofline_seconds",
)


def predicted(prediction: dict[str, Any]) -> dict[str, Any]:
    """The part of a prediction that a run measures."""
    return {name: prediction.get(name) for name in PREDICTED_FIELDS}


def relative_error(predicted: float | None, measured: float | None) -> float | None:
    """(predicted - measured) / measured: positive where too much was predicted.

    None where a side is missing, or where nothing was measured but something predicted.
    """
    if predicted is None or measured is None:
        return None
    if measured == 0:
        return 0.0 if predicted == 0 else None
    return (predicted - measured) / measured


def seconds_ratio(predicted: dict[str, Any], measured: dict[str, Any]) -> float | None:
    """Measured seconds of a step over the roofline's; None where either is missing."""
    roofline, seconds = predicted.get("roofline_seconds"), measured.get("step_seconds")
    return seconds / roofline if roofline and seconds else None


def compare_phases(predicted: dict[str, Any], measured: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a phase, in the order of the run; a phase that only one side knows has no error."""
    ours = {phase["name"]: phase["peak_bytes"] for phase in predicted["phases"]}
    theirs = {phase["name"]: phase["peak_bytes"] for phase in measured["phases"]}
    names = list(theirs) + [name for name in ours if name not in theirs]
    return [
        {
            "name": name,
            "predicted_peak_bytes": ours.get(name),
            "measured_peak_bytes": theirs.get(name),
            "relative_error": relative_error(ours.get(name), theirs.get(name)),
        }
        for name in names
    ]
