"""Seconds and memory of a simulation by a warm worker, beside PyTorch's MemTracker in the same run.

    python -m benchmarks.speed [--write benchmarks/speed.md] [--no-memtracker]

Each figure comes from a child forked from this warm process and limited to one core, as a worker
does it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import planner.preload  # noqa: F401  (the warm process)
from planner.check import check
from planner.devices import BUILTIN
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from planner.versions import versions

_LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
_LLAMA_405B = {
    **_LLAMA_8B, "hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126,
    "num_attention_heads": 128,
}  # fmt: skip


def _request(config: dict[str, Any]) -> SimulationRequest:
    return check(
        SimulationRequest.model_validate(
            {
                "model": {"source": "transformers", "config": config},
                "workload": {"mode": "train", "sequence_length": 2048, "precision": "bf16"},
            }
        )
    )


CASES = {
    "GPT-2 small, S 2048 of 4096 positions": {"model_type": "gpt2", "n_positions": 4096},
    **{
        f"Llama 8B wide, {layers} layers": {**_LLAMA_8B, "num_hidden_layers": layers}
        for layers in (8, 16, 32, 64)
    },
    "Llama 405B, 126 layers": _LLAMA_405B,
}


def headroom(request: SimulationRequest) -> int:
    """Trace, replay and pack the tape, as the service does."""
    tape = trace(request, BUILTIN["cpu"])
    tape.to_bytes()
    return simulate(tape).peak_bytes


def memtracker(request: SimulationRequest) -> int:
    """The rival on the same workload."""
    from benchmarks.memtracker import peak_bytes

    return peak_bytes(request)


def in_child(function: Callable[[SimulationRequest], int], request: SimulationRequest) -> Any:
    """(wall seconds, CPU seconds, peak resident bytes, result) in a forked child on one core."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(function, request, sender))
    child.start()
    sender.close()
    answer = receiver.recv()
    child.join()
    return answer


def _measure(
    function: Callable[[SimulationRequest], int], request: SimulationRequest, sender: Any
) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        result: Any = function(request)
    except Exception as error:
        result = f"{type(error).__name__}: {str(error)[:60]}"
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sender.send((wall, cpu, resident, result))


HEADER = (
    "| workload (train, bf16, AdamW, two steps) | headroom s | CPU s | peak RSS MiB "
    "| MemTracker s | ratio |\n|---|---:|---:|---:|---:|---:|"
)
RIVAL_LAYERS = 32  # MemTracker's time grows with the square of the layers: 135 s for 64


def row(name: str, repeats: int, rival: bool) -> str:
    """One line: medians of alternating runs."""
    request = _request(CASES[name])
    rival = rival and CASES[name].get("num_hidden_layers", 0) <= RIVAL_LAYERS
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(in_child(headroom, request))
        if rival:
            theirs.append(in_child(memtracker, request))
    wall, cpu, resident = (statistics.median(run[i] for run in ours) for i in range(3))
    cells = f"| {name} | {wall:.2f} | {cpu:.2f} | {resident / 2**20:.0f} "
    if not theirs or isinstance(theirs[0][3], str):
        return cells + f"| {theirs[0][3] if theirs else 'not run'} | - |"
    rival_wall = statistics.median(run[0] for run in theirs)
    return cells + f"| {rival_wall:.2f} | {rival_wall / wall:.1f}x |"


def main() -> None:
    """Print the table, write it on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-memtracker", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    print(HEADER, flush=True)
    lines = []
    for name in CASES:
        lines.append(row(name, options.repeats, not options.no_memtracker))
        print(lines[-1], flush=True)
    if options.write:
        about = ", ".join(f"{key} {value}" for key, value in versions().items())
        options.write.write_text(
            "# Speed of a simulation\n\n"
            "Made by `python -m benchmarks.speed --write benchmarks/speed.md`: medians of "
            f"{options.repeats} alternating runs, each in a child on one core of a "
            f"{platform.machine()} machine.\n"
            f"Versions: {about}.\n\n" + "\n".join([HEADER, *lines]) + "\n"
        )


if __name__ == "__main__":
    main()
