"""Where on a tape each unit runs, and the highest level of memory there and between.

The same reading of the baseline's tape (to build the solver's problem) and of a planned step's (to
see where an estimate was off).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.tape import Ints, Tape

Peak = tuple[int, int]  # bytes, and how many units' saved tensors are alive there


@dataclass
class Windows:
    """Most live bytes at the points of a step, over all steps and micro-batches traced.

    Attributes:
        forward, backward: for each unit in order; 0 where it never ran.
        gaps: outside of units, by name: bytes and the number of units saved there.
    """

    forward: Ints
    backward: Ints
    gaps: dict[str, Peak] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """Units of a chain: module paths in order of their calls; a path repeats where a module is
    called several times.
    """

    paths: tuple[str, ...]

    def of_modules(self, modules: list[str]) -> NDArray[np.int64]:
        """For each module of a tape, the index of its path in `distinct`, or -1."""
        index = {path: number for number, path in enumerate(self.distinct)}
        found = np.full(len(modules), -1, dtype=np.int64)
        for number, module in enumerate(modules):
            parts = module.split(".")
            for depth in range(len(parts), 0, -1):
                if (place := index.get(".".join(parts[:depth]))) is not None:
                    found[number] = place
                    break
        return found

    @property
    def distinct(self) -> list[str]:
        """Each path once, in order."""
        return list(dict.fromkeys(self.paths))

    def occurrences(self) -> list[list[int]]:
        """For each distinct path, the units that call it."""
        places: dict[str, list[int]] = {path: [] for path in self.distinct}
        for unit, path in enumerate(self.paths):
            places[path].append(unit)
        return list(places.values())


def read_windows(tape: Tape, places: Places) -> Windows:
    """The highest levels of a tape at each unit's forward and backward, and between them."""
    count = len(places.paths)
    windows = Windows(np.zeros(count, np.int64), np.zeros(count, np.int64))
    owner = places.of_modules(tape.modules)[tape.op_module]
    occurrences = places.occurrences()
    live = np.concatenate([[0], tape.live_bytes])  # live[i]: before event i
    ends = np.append(tape.op_event[1:], len(tape.events))
    for phase, name in enumerate(tape.phases):
        first, last = (int(event) for event in tape.phase_events[phase])
        ops = np.flatnonzero(tape.op_phase == phase)
        kind = name.rpartition(".")[2]
        if kind not in ("forward", "backward"):
            _raise_gap(windows, kind, 0, int(live[first : last + 1].max()))
            continue
        spans = _spans(owner, ops, occurrences, backward=kind == "backward")
        peaks = windows.forward if kind == "forward" else windows.backward
        cursor, before = first, None
        for unit, (begin, end) in sorted(spans.items(), key=lambda item: item[1]):
            start, stop = int(tape.op_event[begin]), int(ends[end])
            saved = unit if kind == "forward" else unit + 1
            _raise_gap(windows, _between(kind, before, unit), saved, _top(live, cursor, start))
            peaks[unit] = max(peaks[unit], _top(live, start, stop))
            cursor, before = max(cursor, stop), unit
        saved = 0 if before is None or kind == "backward" else before + 1
        _raise_gap(windows, _between(kind, before, None), saved, _top(live, cursor, last))
    return windows


def _between(kind: str, before: int | None, after: int | None) -> str:
    return f"{kind}:{'' if before is None else before}>{'' if after is None else after}"


def _top(live: Ints, start: int, stop: int) -> int:
    return int(live[start : max(stop, start) + 1].max())


def _raise_gap(windows: Windows, name: str, after: int, level: int) -> None:
    known = windows.gaps.get(name, (0, after))
    windows.gaps[name] = (max(known[0], level), after)


def _spans(
    owner: NDArray[np.int64], ops: Ints, occurrences: list[list[int]], backward: bool
) -> dict[int, tuple[int, int]]:
    """For each unit that runs in a phase, its first and last op."""
    spans: dict[int, tuple[int, int]] = {}
    owners = owner[ops]
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(len(occurrences) + 1))
    for place, units in enumerate(occurrences):
        own = ops[order[bounds[place] : bounds[place + 1]]]
        if len(own):
            spans |= dict(_shared(own, units[::-1] if backward else units))
    return spans


def _shared(ops: Ints, units: list[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """A module's ops, dealt to its calls: like calls have like numbers of ops."""
    for unit, part in zip(units, np.array_split(ops, len(units)), strict=True):
        if len(part):
            yield unit, (int(part[0]), int(part[-1]))
