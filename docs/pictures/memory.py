"""Draws the README's picture: predicted memory by category over a training step, measured on top.

    .venv/bin/pip install '.[pictures]' && .venv/bin/python docs/pictures/memory.py

Traces the request and then runs it for real in this process; nothing in the picture is made up.
"""

from __future__ import annotations

import argparse
import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from planner.check import check
from planner.devices import BUILTIN
from planner.request import SimulationRequest
from planner.simulation import simulate, timeline
from planner.trace import trace
from profiler.run import measure_request
from profiler.timeline import Timeline

HERE = Path(__file__).parent
GIB = 2**30
BUCKETS = 60  # points a phase

# Bottom to top; from the Okabe-Ito palette, which stays apart for colour-blind readers.
COLOURS = {
    "parameters": "#0072B2",
    "gradients": "#E69F00",
    "optimizer_state": "#009E73",
    "activations": "#CC79A7",
    "temporaries": "#D55E00",
    "inputs": "#56B4E9",
    "buffers": "#999999",
    "workspace": "#F0E442",
}
# How wide each kind of phase is drawn.
WIDTHS = {"forward": 1.0, "backward": 1.3, "optimizer_step": 1.0, "zero_grad": 0.35}

Numbers = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def main() -> None:
    """Trace, run, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--request", type=Path, default=HERE / "gpt2-train.json")
    parser.add_argument("--output", type=Path, default=HERE / "gpt2-train.svg")
    arguments = parser.parse_args()
    request = check(SimulationRequest.model_validate(json.loads(arguments.request.read_text())))

    tape = trace(request, BUILTIN[request.device])
    predicted = timeline(tape, len(tape.events))
    measured = measure_request(request, timing_budget_seconds=0.0)
    peaks = simulate(tape).peak_bytes, measured.measured.peak_bytes

    mpl.rcParams.update({"svg.hashsalt": "headroom", "svg.fonttype": "none", "font.size": 10})
    figure, axes = pyplot.subplots(figsize=(10, 4), layout="constrained")
    draw(axes, predicted, measured.timeline)
    axes.set_title(
        f"predicted peak {peaks[0]:,} bytes, measured {peaks[1]:,} "
        f"({abs(peaks[0] - peaks[1]):,} bytes apart)",
        fontsize=10,
    )
    save(figure, arguments.output)
    print(f"{arguments.output}: predicted {peaks[0]}, measured {peaks[1]}")


def save(figure: Figure, path: Path) -> None:
    """Write the file; an SVG without a date and with coordinates to a hundredth of a point."""
    if path.suffix != ".svg":
        figure.savefig(path)
        return
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    path.write_text(re.sub(r"(\d\.\d\d)\d+", r"\1", buffer.getvalue()))


def draw(axes: Axes, predicted: dict[str, Any], measured: Timeline) -> None:
    """Every phase side by side; within one, x is the share of its allocated and released bytes.

    The run has a clock and the simulation has none; what both have is the order of allocations.
    """
    total = np.array(predicted["total_bytes"], dtype=np.int64)
    series = {name: np.array(predicted["bytes_by_category"][name]) / GIB for name in COLOURS}
    shown = [name for name in COLOURS if series[name].max() > 0.002 * total.max() / GIB]
    marks = {name: (start, end) for name, start, end in measured.phases}
    left, top = 0.0, total.max() / GIB * 1.15
    for phase in predicted["phases"]:
        width = WIDTHS[phase["name"].rpartition(".")[2]]
        # From the level that the phase before left.
        first, end = max(0, phase["first_event"] - 1), phase["end_event"]
        kept = first + _outline(total[first:end])
        axes.stackplot(
            left + width * _progress(total[first:end])[kept - first],
            [series[name][kept] for name in shown],
            labels=[name.replace("_", " ") for name in shown] if left == 0 else [],
            colors=[COLOURS[name] for name in shown],
            linewidth=0,
        )
        first, end = np.searchsorted(measured.time_ns, marks[phase["name"]])
        first = max(0, first - 1)
        live = measured.live_bytes[first:end]
        kept = _outline(live)
        axes.plot(
            left + width * _progress(live)[kept],
            live[kept] / GIB,
            color="black",
            linewidth=1.0,
            linestyle=(0, (2, 1.5)),
            label="measured" if left == 0 else None,
        )
        _name_phase(axes, phase["name"], left, width, top)
        left += width
    axes.set(xlim=(0, left), ylim=(0, top), xticks=[], ylabel="live memory, GiB")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _progress(live: Integers) -> Numbers:
    """For each event, the share of the phase's allocated and released bytes up to it."""
    moved = np.abs(np.diff(live, prepend=live[:1])).cumsum()
    return moved / max(1, int(moved[-1]))


def _outline(live: Integers) -> Integers:
    """Indices that keep the shape: first, lowest, highest and last event of every bucket."""
    buckets = (_progress(live) * BUCKETS).astype(np.int64)
    kept = []
    for found in np.split(np.arange(len(live)), np.flatnonzero(np.diff(buckets)) + 1):
        kept += [found[0], found[np.argmin(live[found])], found[np.argmax(live[found])], found[-1]]
    return np.unique(np.array(kept, dtype=np.int64))


def _name_phase(axes: Axes, name: str, left: float, width: float, top: float) -> None:
    axes.axvline(left, color="black", linewidth=0.4, alpha=0.5)
    if width >= 1:
        step, _, kind = name.partition(".")
        label = f"step {int(step.removeprefix('step')) + 1}\n{kind.replace('_', ' ')}"
        axes.text(left + width / 2, top * 0.99, label, ha="center", va="top", fontsize=9)


if __name__ == "__main__":
    main()
