"""Why two peaks differ: `python -m profiler.live_at_peak request.json [--phase step1.backward]`.

Lists what is alive at the measured and at the predicted peak and pairs allocations of equal size;
what is left over on either side is the deviation, with the op that made it. Watching costs up to 8
bytes: a dispatch mode has Python numbers wrapped in tensors of their own.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from planner.allocations import Allocations, Mark, record_allocations
from planner.check import check
from planner.devices import BUILTIN
from planner.request import SimulationRequest
from planner.simulation import phase_at, storage_label
from planner.step import execute, prepare
from planner.tape import Tape
from planner.trace import trace
from profiler.kernel_scratch import OP_PREFIX, OpHooks, OpMarks
from profiler.marks import PREFIX


@dataclass(frozen=True)
class Held:
    """Bytes alive at a peak, and what made them."""

    size: int
    maker: str


def measured_at_peak(request: SimulationRequest, phase: str | None = None) -> list[Held]:
    """What is alive at the real step's peak, or at its peak within a phase."""
    mode = OpMarks()
    with record_allocations(addresses=True) as recorded, mode:
        job = prepare(request, "cpu")
        execute(job, OpHooks(mode))
    peak = _peak_index(recorded, phase)
    alive: dict[int, int] = {}
    for index in range(peak + 1):
        address = int(recorded.address[index])
        if recorded.delta_bytes[index] > 0:
            alive[address] = index
        else:
            alive.pop(address, None)
    return [
        Held(int(recorded.delta_bytes[index]), maker)
        for index, maker in zip(
            alive.values(), _makers(recorded, mode, alive.values()), strict=True
        )
    ]


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


def _makers(recorded: Allocations, mode: OpMarks, indices: Iterable[int]) -> list[str]:
    marks = sorted(
        (mark for mark in recorded.marks if mark.name.startswith(OP_PREFIX)),
        key=lambda mark: mark.start_ns,
    )
    starts = np.array([mark.start_ns for mark in marks], np.int64)
    return [_maker(int(recorded.time_ns[index]), starts, marks, mode) for index in indices]


def _maker(moment: int, starts: npt.NDArray[np.int64], marks: list[Mark], mode: OpMarks) -> str:
    position = int(np.searchsorted(starts, moment, side="right")) - 1
    if position < 0:
        return "before the first op"
    mark = marks[position]
    call = mode.calls[int(mark.name.removeprefix(OP_PREFIX))]
    where = "" if moment <= mark.end_ns else "after "
    return f"{where}{call.op} ({call.phase or 'build'}) {call.operands[:160]}"


def main() -> None:
    """Print what is left over on both sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("request", type=Path, help="a body of POST /v1/simulations, as JSON")
    parser.add_argument("--phase", help="the peak within this phase instead of the overall one")
    parser.add_argument("--limit", type=int, default=30, help="rows a side")
    arguments = parser.parse_args()
    request = check(SimulationRequest.model_validate(json.loads(arguments.request.read_text())))
    measured = measured_at_peak(request, arguments.phase)
    predicted = predicted_at_peak(trace(request, BUILTIN[request.device]), arguments.phase)
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
