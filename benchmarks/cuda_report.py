"""The CUDA suite's rows as a Markdown page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.cuda_rows import (
    WORTH_EXPLAINING,
    Measure,
    Row,
    causes,
    failure,
    measured_of,
    measured_out_of_memory,
    pair,
    phases,
    predicted_out_of_memory,
    prediction_of,
    summary,
)
from planner.devices import DeviceProfile
from planner.quantities import format_bytes

_BOTH = "allocated predicted | measured | error | reserved predicted | measured | error"
TABLE = (
    f"| case | parameters | {_BOTH} | device predicted | measured "
    "| out of memory predicted | measured |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|"
)
_PHASE_TABLE = f"| phase | {_BOTH} |\n|---|---:|---:|---:|---:|---:|---:|"


def page(header: dict[str, Any], device: DeviceProfile, rows: Sequence[Row]) -> str:
    """The whole document.

    Args:
        header: `environment` and `context` of `benchmarks.cuda_jobs.describe`, empty without a
            GPU, and `versions` of the predicting side.
    """
    return "\n".join(
        [
            "# Predicted against measured memory, CUDA",
            "",
            "Made by `python -m benchmarks.cuda_suite` (docs/validation.md).",
            "",
            *(f"- {each}" for each in described(header, device)),
            "",
            *(f"- {each}" for each in summary(rows)),
            "",
            TABLE,
            *map(line, rows),
            "",
            *_deviations(rows),
            *_failures(rows),
        ]
    )


def described(header: dict[str, Any], device: DeviceProfile) -> list[str]:
    """Device, driver, libraries and settings, one sentence each."""
    environment = header.get("environment")
    predicting = f"predicted with: {_versions(header['versions'])}"
    if environment is None:
        return [f"predicted for: {device.name}; nothing was measured", predicting]
    card = environment["device"]
    return [
        f"device: {card['name']}, {card['memory_bytes']:,} bytes, {card['multiprocessors']} "
        f"multiprocessors, compute capability {card['compute_capability']}",
        f"predicted for: {device.name}, {device.memory_bytes or 0:,} bytes",
        f"driver {card['driver']}, CUDA {card['cuda']}, cuDNN {card['cudnn']}",
        f"measured with: {_versions(environment['versions'])}",
        predicting,
        f"allocator: {card['allocator_backend']}; settings: {_settings(environment['settings'])}",
        f"kernels: {json.dumps(environment['backends'])}",
        f"context: {_context(header['context'], device)}",
    ]


def line(row: Row) -> str:
    """One row of the table."""
    prediction, measured = prediction_of(row) or {}, measured_of(row) or {}
    cells = [
        row["name"],
        _bytes(prediction.get("parameter_count")),
        *_three(row, "peak_bytes"),
        *_three(row, "reserved_bytes"),
        _bytes(prediction.get("device_bytes")),
        _bytes(measured.get("device_bytes")),
        predicted_out_of_memory(row),
        measured_out_of_memory(row),
    ]
    return f"| {' | '.join(cells)} |"


def _three(row: Row, measure: Measure) -> list[str]:
    both = pair(row, measure)
    sides = [(prediction_of(row) or {}), (measured_of(row) or {})]
    return [*(_bytes(side.get(measure)) for side in sides), f"{both.error:+.3%}" if both else "-"]


def _bytes(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _settings(found: dict[str, str]) -> str:
    """As set; what predictions do not follow is said."""
    told = ", ".join(f"{name}={value}" for name, value in found.items()) or "torch's defaults"
    if {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"} & found.keys():
        told += " (predictions assume the allocator's defaults)"
    return told


def _context(found: dict[str, Any], device: DeviceProfile) -> str:
    if found["context_bytes"] is None:
        return "not measured: the driver's library does not answer; the profile's range stands"
    taken, bare = format_bytes(found["context_bytes"]), format_bytes(found["bare_bytes"])
    return f"{taken} with cuBLAS loaded, {bare} without; predictions use the former"


def _deviations(rows: Sequence[Row]) -> list[str]:
    if not any(True for row in rows for _ in phases(row)):
        return []  # nothing was compared
    lines = [f"## Phases that deviate by more than {WORTH_EXPLAINING:.1%}, and why", ""]
    for row in rows:
        deviating = [phase for phase in phases(row) if phase.deviates]
        if not deviating:
            continue
        lines += [f"### {row['name']}", "", _PHASE_TABLE]
        lines += [
            f"| {phase.name} | {phase.allocated.predicted:,} | {phase.allocated.measured:,} "
            f"| {phase.allocated.error:+.3%} | {phase.reserved.predicted:,} "
            f"| {phase.reserved.measured:,} | {phase.reserved.error:+.3%} |"
            for phase in deviating
        ]
        lines.append("")
        for phase in deviating:
            lines += [f"- {phase.name}: {cause}" for cause in causes(row, phase)]
        lines.append("")
    return lines if len(lines) > 2 else [*lines, "None.", ""]


def _failures(rows: Sequence[Row]) -> list[str]:
    told = [(row["name"], failure(row)) for row in rows]
    lines = [f"- {name}: {words}" for name, words in told if words]
    return ["## Cases that did not come to their end", "", *lines, ""] if lines else []
