"""CPU seconds to solve chains shaped like transformers, by solver, with added time and gap.

    python -m benchmarks.solvers [--write benchmarks/solvers.md]

Each unit has 32 options on a convex frontier: from 2 to 40 MiB saved for up to 1.3 times its
forward, in working sets near its full activation. Gradients are 1 MiB a unit.
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from planner.solve import SOLVERS, smallest_peak, solve, solve_segments
from planner.solve.problem import Chosen, Gap, Option, Problem, Solution, Unit, peak_bytes

MIB = 1 << 20
UNITS = (12, 24, 48, 96, 126)
SHARES = (0.9, 0.7, 0.5, 0.3)
RUNS = {**SOLVERS, "segments": solve_segments, "solve()": solve}
HEADER = (
    "| units | kind | budget | " + " | ".join(RUNS) + " |\n|---:|---|---:|" + "---:|" * len(RUNS)
)


def _kept_bytes(problem: Problem) -> int:
    return peak_bytes(problem, tuple(Chosen(unit, 0) for unit in range(len(problem.units))))


def transformer(count: int, *, alike: bool, seed: int = 0, options: int = 32) -> Problem:
    """A random chain; alike units have one list of options."""
    random = np.random.default_rng(seed)
    shapes = [_options(random, options) for _ in range(1 if alike else count)] * count
    units = tuple(
        Unit(
            name=f"block{number}",
            kind="block" if alike else f"block{number}",
            options=shapes[number][0],
            forward_level_bytes=40 * MIB,
            backward_level_bytes=(40 + count - 1 - number) * MIB,
            input_bytes=2 * MIB,
            forward_seconds=shapes[number][1],
            transient_bytes=20 * MIB,
        )
        for number in range(count)
    )
    gaps = (Gap("embedding", 0, 40 * MIB), Gap("loss", count, 60 * MIB))
    return Problem(units, gaps, (True,) * (count - 1))


def _options(random: np.random.Generator, count: int) -> tuple[tuple[Option, ...], float]:
    forward_seconds = random.uniform(2e-3, 6e-3)
    full = int(random.uniform(38, 42) * MIB)
    saved = np.sort(random.uniform(2 * MIB, full, count - 1))[::-1].astype(int)
    dropped = (full - saved) / full
    added = 1.3 * forward_seconds * dropped**1.7 * random.uniform(0.9, 1.1, count - 1)
    options = [Option("keep", 0.0, full, int(1.05 * full), int(1.15 * full))]
    for number, (bytes_, seconds) in enumerate(zip(saved, np.sort(added), strict=True)):
        working = max(int(bytes_), int(full * random.uniform(0.9, 1.25)))
        forward = int(full * random.uniform(0.5, 0.9))
        options.append(Option(str(number), float(seconds), int(bytes_), forward, working))
    return tuple(options), float(forward_seconds)


def _cell(found: Solution | None, spent: float) -> str:
    if found is None:
        return f"{spent:.3f} s: none"
    proven = "" if found.gap is None else f", gap {100 * found.gap:.3f} %"
    return f"{spent:.3f} s: {1e3 * found.seconds:.2f} ms{proven}"


def _line(count: int, alike: bool, share: float) -> str:
    problem = transformer(count, alike=alike)
    budget = int(share * _kept_bytes(problem))
    cells = []
    for run in RUNS.values():
        started = time.process_time()
        found = run(problem, budget)
        spent = time.process_time() - started
        assert found is None or found.peak_bytes <= budget
        cells.append(_cell(found, spent))
    kind = "alike" if alike else "all different"
    return f"| {count} | {kind} | {share} | " + " | ".join(cells) + " |"


def _least(count: int, alike: bool) -> str:
    problem = transformer(count, alike=alike)
    kept = _kept_bytes(problem)
    shares = []
    for segments in (False, True):
        started = time.process_time()
        found = smallest_peak(problem, segments)
        spent = time.process_time() - started
        shares.append(f"{found.peak_bytes / kept:.3f} in {spent:.2f} s")
    return f"| {count} | {'alike' if alike else 'all different'} | " + " | ".join(shares) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    solve(transformer(12, alike=False), 400 * MIB)  # imports, not to be timed
    lines = [HEADER]
    print(HEADER, flush=True)
    for count in UNITS:
        for alike in (False, True):
            for share in SHARES:
                lines.append(_line(count, alike, share))
                print(lines[-1], flush=True)
    lines += ["", "## Least peak, as a share of everything kept", ""]
    lines += ["| units | kind | units alone | with segments |", "|---:|---|---:|---:|"]
    lines += [_least(count, alike) for count in UNITS for alike in (False, True)]
    if options.write:
        options.write.write_text(_document(lines))


def _document(lines: list[str]) -> str:
    about = [
        "# Speed of the solvers",
        "",
        "Made by `python -m benchmarks.solvers --write benchmarks/solvers.md`: one run each on a "
        f"{platform.machine()} machine shared with other work, python {platform.python_version()}, "
        f"scipy {version('scipy')}.",
        "",
        "Cells: CPU seconds to solve, one thread, then the milliseconds that the solution adds to "
        "a step, then the proven gap where there is one. Budgets are shares of the peak where "
        "everything is kept; `none` where no choice fits. `solve()` takes the cheaper of the "
        "mixed-integer programme and segments. 32 options a unit.",
        "",
    ]
    return "\n".join(about + lines) + "\n"


if __name__ == "__main__":
    main()
