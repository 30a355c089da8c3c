"""Rows of the CUDA suite: predicted beside measured, how far apart they are, and why.

A row is plain JSON: `name`, `body` and the columns `predicted` and `measured`, each with a
`status` (`succeeded`, `out_of_memory`, `failed`, `skipped`), where it is none of the first two with
an `error`. Nothing here imports torch.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.cuda_held import Held, unshared
from planner.quantities import format_bytes
from profiler.compare import relative_error

Row = dict[str, Any]
Measure = Literal["peak_bytes", "reserved_bytes"]

WORTH_EXPLAINING = 0.005
"""Relative deviation of a phase from which on its causes are looked for."""

_SHOWN = 6  # sizes a side in an explanation


@dataclass(frozen=True)
class Pair:
    """A predicted number and the measured one."""

    predicted: int
    measured: int

    @property
    def error(self) -> float:
        """(predicted - measured) / measured."""
        return relative_error(self.predicted, self.measured)


@dataclass(frozen=True)
class PhasePair:
    """One phase on both sides."""

    name: str
    allocated: Pair
    reserved: Pair

    @property
    def deviates(self) -> bool:
        """Whether its causes are worth looking for."""
        return max(abs(self.allocated.error), abs(self.reserved.error)) > WORTH_EXPLAINING


def prediction_of(row: Row) -> dict[str, Any] | None:
    """The prediction, where there is one."""
    predicted = row.get("predicted", {})
    return predicted["prediction"] if predicted.get("status") == "succeeded" else None


def measured_of(row: Row) -> dict[str, Any] | None:
    """What was measured, where the run came to its end."""
    measured = row.get("measured", {})
    return measured["measured"] if measured.get("status") == "succeeded" else None


def pair(row: Row, measure: Measure) -> Pair | None:
    """The peak on both sides; None where either is missing."""
    prediction, measured = prediction_of(row), measured_of(row)
    if prediction is None or measured is None:
        return None
    both = prediction[measure], measured[measure]
    return None if None in both else Pair(*both)


def phases(row: Row) -> Iterator[PhasePair]:
    """The phases that both sides have, in the order of the run."""
    prediction, measured = prediction_of(row), measured_of(row)
    if prediction is None or measured is None:
        return
    predicted = {phase["name"]: phase for phase in prediction["phases"]}
    for phase in measured["phases"]:
        other = predicted.get(phase["name"])
        if other is not None:
            yield PhasePair(
                phase["name"],
                Pair(other["peak_bytes"], phase["peak_bytes"]),
                Pair(other["reserved_bytes"], phase["reserved_bytes"]),
            )


def causes(row: Row, phase: PhasePair) -> list[str]:
    """Why a phase deviates, as far as the allocator's own history tells; one sentence each."""
    replayed = row["measured"].get("replayed", {}).get(phase.name)
    if replayed is None:
        return ["the run kept no complete history of its allocator: no cause can be told"]
    return [*_allocator_causes(phase, replayed), *_held_causes(row, phase.name)]


def _allocator_causes(phase: PhasePair, replayed: dict[str, int]) -> Iterator[str]:
    """Which part of the deviation is other requests, and which another allocator."""
    parts = [
        (kind, both.predicted - replayed[key], replayed[key] - both.measured)
        for kind, key, both in (
            ("allocated", "allocated_bytes", phase.allocated),
            ("reserved", "reserved_bytes", phase.reserved),
        )
    ]
    for kind, by_requests, by_allocator in parts:
        if by_requests or by_allocator:
            yield (
                f"of the deviation in {kind} bytes, {by_requests:+,} come from other requests than "
                f"measured and {by_allocator:+,} from the simulated allocator"
            )


def _held_causes(row: Row, name: str) -> Iterator[str]:
    measured = row["measured"].get("held", {}).get(name, [])
    predicted = row["predicted"].get("held", {}).get(name, [])
    found = unshared(measured, predicted)
    yield from _listed("measured has", found.first, "that the prediction lacks")
    yield from _listed("predicted are", found.second, "that were not measured")
    if found.unsplit_pairs:
        yield (
            f"{found.unsplit_pairs} pairs of blocks differ by an unsplit rest: measured "
            f"{found.unsplit_bytes:+,} bytes"
        )


def _listed(beginning: str, held: Sequence[Held], ending: str) -> Iterator[str]:
    for each in held[:_SHOWN]:
        yield f"{beginning} {each.blocks} x {each.block_bytes:,} ({each.label}) {ending}"
    rest = held[_SHOWN:]
    if rest:
        blocks = sum(each.blocks for each in rest)
        total = sum(each.blocks * each.block_bytes for each in rest)
        yield f"{beginning} {blocks} smaller blocks, {total:,} bytes in all, {ending}"


def predicted_out_of_memory(row: Row) -> str:
    """`yes`, `no`, `depends` (on the context's size), or `-`."""
    prediction = prediction_of(row)
    if prediction is None:
        return "-"
    return {True: "no", False: "yes", None: "depends"}[prediction["fits"]]


def measured_out_of_memory(row: Row) -> str:
    """`yes`, `no` or `-`."""
    status = row.get("measured", {}).get("status")
    return {"out_of_memory": "yes", "succeeded": "no"}.get(str(status), "-")


def summary(rows: Sequence[Row]) -> list[str]:
    """The whole in sentences."""
    return [
        _states(rows),
        _spread(rows, "peak_bytes", "allocated peak"),
        _spread(rows, "reserved_bytes", "reserved peak"),
        _out_of_memory(rows),
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least that share of the values does not exceed (nearest rank)."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _states(rows: Sequence[Row]) -> str:
    def count(column: str, *statuses: str) -> int:
        return sum(row.get(column, {}).get("status") in statuses for row in rows)

    return (
        f"{len(rows)} cases: {count('predicted', 'succeeded')} predicted "
        f"({count('predicted', 'failed')} failed), "
        f"{count('measured', 'succeeded', 'out_of_memory')} measured "
        f"({count('measured', 'failed')} failed, {count('measured', 'skipped')} skipped)"
    )


def _spread(rows: Sequence[Row], measure: Measure, words: str) -> str:
    named = [(found.error, row["name"]) for row in rows if (found := pair(row, measure))]
    if not named:
        return f"{words}: nothing to compare"
    sizes = [abs(error) for error, _ in named]
    worst, where = max(named, key=lambda each: abs(each[0]))
    under = sum(error < 0 for error, _ in named)
    return (
        f"{words}, error over {len(named)} cases: median {statistics.median(sizes):.3%}, "
        f"95th percentile {percentile(sizes, 0.95):.3%}, worst {worst:+.3%} ({where}); "
        f"{under} predicted too low"
    )


def _out_of_memory(rows: Sequence[Row]) -> str:
    both = [(predicted_out_of_memory(row), measured_out_of_memory(row)) for row in rows]
    known = [each for each in both if "-" not in each]
    if not known:
        return "out of memory: nothing to compare"
    return (
        f"out of memory: {known.count(('yes', 'yes'))} foreseen, "
        f"{known.count(('no', 'yes'))} missed, {known.count(('yes', 'no'))} false; "
        f"{sum(predicted == 'depends' for predicted, _ in known)} left open by the context's size"
    )


def failure(row: Row) -> str | None:
    """What kept either side from its end, in words."""
    parts = []
    for column in ("predicted", "measured"):
        found = row.get(column, {})
        if found.get("status") in ("failed", "skipped"):
            parts.append(f"{column}: {found['status']}, {found['error']}")
        elif found.get("status") == "out_of_memory":
            parts.append(f"{column}: out of memory in {found.get('phase')}")
    missing = (prediction_of(row) or {}).get("out_of_memory")
    if missing is not None:
        asked = format_bytes(missing["requested_bytes"])
        parts.append(f"predicted: out of memory in {missing['phase']}, for {asked}")
    return "; ".join(parts) or None
