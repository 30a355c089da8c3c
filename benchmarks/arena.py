"""Packs a folder of MiniMalloc's instances into the capacity in their names.

    python -m benchmarks.arena FOLDER [--write benchmarks/arena.md]

The instances are https://github.com/google/minimalloc, benchmarks/challenging: `A.1048576.csv` to
`K.1048576.csv`. Each is packed in this process, after one that has the search compiled.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from planner.arena import Buffers, best_fit, greedy_by_size, pack, read_csv, violations
from planner.arena.exact import load
from planner.versions import versions

SECONDS = 60.0
REPEATS = 5
HEADER = (
    "| instance | buffers | capacity | lower bound | greedy by size | best fit | ours | seconds "
    "| least found | in |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def _line(name: str, buffers: Buffers, capacity: int) -> tuple[str, float]:
    spent = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        layout = pack(buffers, capacity, SECONDS)
        spent.append(time.perf_counter() - started)
    seconds = statistics.median(spent)
    least = pack(buffers, None, SECONDS)
    for found, limit in ((layout, capacity), (least, least.height_bytes)):
        if wrong := violations(buffers, found.offsets, limit):
            raise SystemExit(f"{name}: {wrong[0]}")
    cells = [
        name,
        str(len(buffers)),
        f"{capacity:,}",
        f"{layout.lower_bound_bytes / capacity:.3f}",
        f"{greedy_by_size(buffers).height_bytes / capacity:.3f}",
        f"{best_fit(buffers).height_bytes / capacity:.3f}",
        f"{layout.height_bytes / capacity:.3f}",
        f"{seconds:.3f}",
        f"{least.height_bytes / capacity:.3f}" + (" (proven)" if not least.gap else ""),
        f"{least.seconds:.1f} s",
    ]
    return "| " + " | ".join(cells) + " |", seconds


def _cold(file: Path, capacity: int, cache: Path) -> float:
    """Seconds of a new process that packs the file, with numba's cache in this folder."""
    code = (
        "import sys; from pathlib import Path; from planner.arena import pack, read_csv\n"
        f"sys.exit(not pack(read_csv(Path({str(file)!r}).read_text()), {capacity}).fits)"
    )
    started = time.perf_counter()
    environment = {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path, default=Path("benchmarks/arena.md"))
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.csv"))
    if not files:
        raise SystemExit(f"no .csv files in {options.folder}")
    load()
    print(HEADER, flush=True)
    lines, spent = [HEADER], []
    for file in files:
        line, seconds = _line(
            file.name.partition(".")[0], read_csv(file.read_text()), _capacity(file)
        )
        lines.append(line)
        spent.append(seconds)
        print(line, flush=True)
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (_cold(files[0], _capacity(files[0]), Path(cache)) for _ in range(2))
    options.write.write_text(_document(lines, spent, cold, warm))


def _capacity(file: Path) -> int:
    return int(file.stem.rpartition(".")[2])


def _document(lines: list[str], spent: list[float], cold: float, warm: float) -> str:
    about = [
        "# Packing MiniMalloc's benchmark",
        "",
        f"Made by `python -m benchmarks.arena FOLDER` on a {platform.machine()} machine shared "
        f"with other work, python {platform.python_version()}, headroom {versions()['headroom']}, "
        "one thread. Heights are shares of the capacity; every layout was accepted by "
        "`planner.arena.violations`.",
        "",
        f"Seconds are the median of {REPEATS} packings into the capacity with the search compiled: "
        f"median {statistics.median(spent):.2f} s, slowest {max(spent):.2f} s. A new process, "
        f"imports included, packs the first instance in {cold:.1f} s when it compiles the search, "
        f"once in an installation, and in {warm:.1f} s when it reads the compiled code.",
        "",
        f"The last two columns are packings without a capacity, limited to {SECONDS:.0f} s.",
        "",
    ]
    return "\n".join(about + lines) + "\n"


if __name__ == "__main__":
    main()
