"""Predicted against measured peak memory on this machine's CPU, case by case, and what MemTracker
says.

    python -m benchmarks.accuracy_cpu [--only SUBSTRING] [--write benchmarks/accuracy_cpu.md]

Each number comes from a process of its own: the prediction from a fake trace, the measurement from
torch's allocator reports while the same workload runs for real, MemTracker
(torch.distributed._tools) under FakeTensorMode on the same step.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy_cases import CASES, Case
from planner.check import check
from planner.request import SimulationRequest
from planner.versions import versions


def checked(case: Case) -> SimulationRequest:
    """The request of a case."""
    return check(SimulationRequest.model_validate(case))


def predicted(case: Case) -> int:
    """Peak bytes of the simulation."""
    from planner.devices import BUILTIN
    from planner.simulation import simulate
    from planner.trace import trace

    return simulate(trace(checked(case), BUILTIN["cpu"])).peak_bytes


def measured(case: Case) -> int:
    """Peak bytes of the real run."""
    from profiler.run import measure_request

    return measure_request(checked(case), timing_budget_seconds=0.0).measured.peak_bytes


def memtracker(case: Case) -> int:
    """Peak bytes according to PyTorch's own tracker under FakeTensorMode."""
    from benchmarks.memtracker import peak_bytes

    return peak_bytes(checked(case))


def in_child(function: Callable[[], Any], timeout: float) -> Any:
    """(result, seconds) of the function in a forked child, or the error as a string."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(function, sender), daemon=True)
    child.start()
    sender.close()
    try:
        answer = receiver.recv() if receiver.poll(timeout) else f"no answer in {timeout:.0f} s"
    except EOFError:
        answer = "the child died"
    child.kill()
    child.join()
    return answer


def _report(function: Callable[[], Any], sender: Any) -> None:
    try:
        start = time.perf_counter()
        result = function()
        sender.send((result, time.perf_counter() - start))
    except BaseException as error:
        summary = traceback.format_exception_only(error)[-1].strip()
        sender.send(f"{summary[:200]}")


def row(name: str, case: Case, with_tracker: bool) -> dict[str, Any]:
    """All that is known of one case."""
    answers = {
        "predicted": in_child(partial(predicted, case), 300),
        "measured": in_child(partial(measured, case), 600),
    }
    if with_tracker:
        answers["memtracker"] = in_child(partial(memtracker, case), 300)
    return {"name": name, **answers}


def error(row: dict[str, Any], key: str) -> float | None:
    """Relative error of the column against the measured peak, None where either is missing."""
    if isinstance(row.get(key), str) or isinstance(row["measured"], str) or key not in row:
        return None
    return (row[key][0] - row["measured"][0]) / row["measured"][0]


def line(row: dict[str, Any]) -> str:
    """One row of the Markdown table."""

    def cell(key: str) -> str:
        value = row.get(key, "-")
        return value.replace("|", "/")[:90] if isinstance(value, str) else f"{value[0]:,}"

    def percent(key: str) -> str:
        value = error(row, key)
        return "-" if value is None else f"{value:+.3%}"

    return (
        f"| {row['name']} | {cell('predicted')} | {cell('measured')} | {percent('predicted')} "
        f"| {cell('memtracker')} | {percent('memtracker')} |"
    )


def summary(rows: list[dict[str, Any]], key: str) -> str:
    """What share of the cases is how exact."""
    errors = [abs(value) for value in (error(row, key) for row in rows) if value is not None]
    if not errors:
        return f"{key}: nothing measured"
    share = {limit: sum(e <= limit for e in errors) for limit in (0.0, 0.001, 0.01)}
    return (
        f"{key}: {len(errors)} of {len(rows)} cases ran; exact to the byte {share[0.0]}, "
        f"within 0.1 % {share[0.001]}, within 1 % {share[0.01]}; "
        f"median {statistics.median(errors):.4%}, worst {max(errors):.3%}"
    )


HEADER = """| case | predicted bytes | measured bytes | error | MemTracker bytes | error |
|---|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Run the cases, print the table as it grows, write it on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="run only cases whose name contains this")
    parser.add_argument("--no-memtracker", action="store_true")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--json", type=Path, help="also keep the raw rows")
    options = parser.parse_args()
    import torch  # noqa: F401  (imported once, before the forks)
    import transformers  # noqa: F401

    print(HEADER, flush=True)
    rows = []
    for name, case in CASES.items():
        if options.only in name:
            rows.append(row(name, case, not options.no_memtracker))
            print(line(rows[-1]), flush=True)
    totals = [summary(rows, key) for key in ("predicted", "memtracker")]
    print("\n" + "\n".join(totals))
    if options.json:
        options.json.write_text(json.dumps(rows))
    if options.write:
        options.write.write_text(_document(rows, totals))


def _document(rows: list[dict[str, Any]], totals: list[str]) -> str:
    versions_line = ", ".join(f"{name} {value}" for name, value in versions().items())
    return "\n".join(
        [
            "# Predicted against measured peak memory, CPU",
            "",
            "Made by `python -m benchmarks.accuracy_cpu --write benchmarks/accuracy_cpu.md`.",
            f"Versions: {versions_line}.",
            "",
            *(f"- {total}" for total in totals),
            "",
            HEADER,
            *(line(row) for row in rows),
            "",
        ]
    )


if __name__ == "__main__":
    main()
