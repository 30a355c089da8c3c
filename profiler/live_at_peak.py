"""Why two peaks differ: `python -m profiler.live_at_peak request.json [--phase step1.backward]`.

Lists what is alive at the measured and at the predicted peak and pairs allocations of equal size;
what is left over on either side is the deviation, with the op that made it. The real step is
watched by the profiler alone: below a dispatch mode autograd would add gradients out of place.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.allocations import Allocations, Mark, record_allocations
from planner.check import check
from planner.devices import builtin_device
from planner.request import SimulationRequest
from planner.simulation import phase_at, storage_label
from planner.step import execute, prepare
from planner.tape import Tape
from planner.trace import trace
from profiler.marks import PREFIX, TraceMarks

_NODE = "autograd::engine::evaluate_function: "


@dataclass(frozen=True)
class Held:
    """Bytes alive at a peak, and what made them."""

    size: int
    maker: str


def measured_at_peak(request: SimulationRequest, phase: str | None = None) -> list[Held]:
    """What is alive at the real step's peak, or at its peak within a phase."""
    with record_allocations(detailed=True) as recorded:
        job = prepare(request, "cpu")
        execute(job, TraceMarks(lambda message: None))
    alive: dict[int, int] = {}
    for index in range(_peak_index(recorded, phase) + 1):
        address = int(recorded.address[index])
        if recorded.delta_bytes[index] > 0:
            alive[address] = index
        else:
            alive.pop(address, None)
    makers = _makers(recorded, set(alive.values()))
    return [Held(int(recorded.delta_bytes[index]), makers[index]) for index in alive.values()]


def predicted_at_peak(tape: Tape, phase: str | None = None) -> list[Held]:
    """What is alive at the tape's peak, or at its peak within a phase."""
    live = tape.live_bytes
    first, end = 0, len(live)
    if phase is not None:
        first, end = (int(value) for value in tape.phase_events[tape.phases.index(phase)])
    event = first + int(np.argmax(live[first:end]))
    return [
        Held(
            int(tape.storage_bytes[storage]),
            f"{storage_label(tape, int(storage))} ({phase_at(tape, int(tape.births[storage]))})",
        )
        for storage in tape.alive_at(event)
        if tape.storage_bytes[storage]
    ]


def unpaired(mine: Iterable[Held], other: Iterable[Held]) -> list[Held]:
    """Of `mine`, what has no partner of equal size in `other`, largest first.

    Among several of one size it names the first: which of them lacks a partner cannot be known.
    """
    left = Counter(held.size for held in mine)
    left.subtract(Counter(held.size for held in other))
    by_size: dict[int, list[Held]] = defaultdict(list)
    for held in mine:
        by_size[held.size].append(held)
    return [
        held
        for size in sorted(by_size, reverse=True)
        for held in by_size[size][: max(0, left[size])]
    ]


def _peak_index(recorded: Allocations, phase: str | None) -> int:
    live = recorded.live_bytes()
    phases = [mark for mark in recorded.marks if mark.name.startswith(PREFIX)]
    chosen = [mark for mark in phases if phase is None or mark.name == PREFIX + phase]
    start = min(mark.start_ns for mark in chosen)
    end = max(mark.end_ns for mark in chosen)
    first, last = np.searchsorted(recorded.time_ns, [start, end])
    return int(first + np.argmax(live[first:last]))


def _makers(recorded: Allocations, wanted: set[int]) -> dict[int, str]:
    """For each wanted event, the marks around it: one sweep over both in order of time."""
    marks = sorted(recorded.marks, key=lambda mark: (mark.start_ns, -mark.end_ns))
    makers: dict[int, str] = {}
    around: list[Mark] = []
    following = 0
    for index in sorted(wanted):
        moment = int(recorded.time_ns[index])
        while following < len(marks) and marks[following].start_ns <= moment:
            around.append(marks[following])
            following += 1
        around = [mark for mark in around if mark.end_ns >= moment]
        makers[index] = _describe(around)
    return makers


def _describe(around: list[Mark]) -> str:
    """The phase, the node of autograd, and the outermost op with its operands' shapes."""
    phase = next((mark.name for mark in around if mark.name.startswith(PREFIX)), PREFIX + "build")
    op = next((mark for mark in around if mark.name.startswith("aten::")), None)
    node = next((mark.name for mark in around if mark.name.startswith(_NODE)), _NODE)
    named = "outside of any op" if op is None else f"{op.name} {op.detail[:160]}"
    return " ".join(
        part
        for part in (named, f"({phase.removeprefix(PREFIX)})", node.removeprefix(_NODE))
        if part
    )


def main() -> None:
    """Print what is left over on both sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("request", type=Path, help="a body of POST /v1/simulations, as JSON")
    parser.add_argument("--phase", help="the peak within this phase instead of the overall one")
    parser.add_argument("--limit", type=int, default=30, help="rows a side")
    arguments = parser.parse_args()
    request = check(SimulationRequest.model_validate(json.loads(arguments.request.read_text())))
    measured = measured_at_peak(request, arguments.phase)
    predicted = predicted_at_peak(trace(request, builtin_device(request.device)), arguments.phase)
    for title, mine, other in (
        ("measured, not predicted", measured, predicted),
        ("predicted, not measured", predicted, measured),
    ):
        rows = unpaired(mine, other)
        total = sum(held.size for held in mine)
        print(f"{title}: {sum(row.size for row in rows)} bytes in {len(rows)} of {total}")
        for row in rows[: arguments.limit]:
            print(f"{row.size:>14}  {row.maker}")


if __name__ == "__main__":
    main()
