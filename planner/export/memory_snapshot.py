"""A tape as `torch.cuda.memory._dump_snapshot` writes one, for pytorch.org/memory_viz.

The storages of the tape are served by a simulation of PyTorch's caching allocator with memory
enough, on whatever device the tape is for. Each allocation carries the op, module and phase that
asked for it where a real snapshot has the lines of Python.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

from planner.allocator import AllocatorSettings, replay
from planner.simulation import storage_label
from planner.tape import Category, Tape


def memory_snapshot(tape: Tape) -> bytes:
    """The snapshot as a pickle of plain lists, dicts, strings and numbers, the form that the page
    and `torch.cuda._memory_viz` read; with the history of every allocation.
    """
    settings = AllocatorSettings.parse(tape.meta.get("allocator") or "")
    replayed = replay(tape.events, tape.storage_bytes, settings)
    snapshot = replayed.snapshot(len(tape.events) - 1, history=True)
    asked = _births(tape)
    frames: dict[int, list[dict[str, Any]]] = {}
    for entry in snapshot["device_traces"][0]:
        if entry["action"] == "alloc":
            frames[entry["addr"]] = _frames(tape, next(asked))
        if entry["action"] in ("alloc", "free_requested", "free_completed"):
            entry["frames"] = frames[entry["addr"]]
    for segment in snapshot["segments"]:
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                block["frames"] = frames[block["address"]]
    return pickle.dumps(dict(snapshot), protocol=4)


def _births(tape: Tape) -> Iterator[int]:
    """Storages in the order in which the allocator was asked for them; none asks for 0 bytes."""
    for event in tape.events.tolist():
        if event >= 0 and tape.storage_bytes[event]:
            yield event


def _frames(tape: Tape, storage: int) -> list[dict[str, Any]]:
    """Who asked, innermost first, as frames of a stack."""
    op = int(tape.storage_op[storage])
    category = Category(tape.storage_category[storage]).name
    frames = [{"name": storage_label(tape, storage), "filename": category, "line": 0}]
    if op >= 0:
        module, phase = tape.modules[tape.op_module[op]], tape.phases[tape.op_phase[op]]
        frames.append({"name": module or "the step itself", "filename": phase, "line": op})
    return frames
