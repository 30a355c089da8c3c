"""Who holds the memory at the peak: every module, and the largest tensors with the op that made
them. From the tape alone; no torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.simulation import phase_at, storage_layouts, storage_module
from planner.tape import Category, Ints, Tape

TENSORS = 100
_OF_PARAMETERS = (Category.gradients, Category.optimizer_state)


def peak(tape: Tape, tensors: int = TENSORS) -> dict[str, Any]:
    """What is alive at the peak, JSON-ready. O(storages + tensors of the tape).

    `modules` has every module that holds anything, with its own bytes by category (not those of
    modules inside it), so they add up to `total_bytes`; gradients and optimizer state belong to the
    module of their parameter. `tensors` are the largest storages: name, or the op that made it, and
    the events between which it lives.
    """
    event = int(np.argmax(tape.live_bytes))
    alive = tape.alive_at(event)
    largest = alive[np.argsort(-tape.storage_bytes[alive], kind="stable")][:tensors]
    layouts = storage_layouts(tape)
    return {
        "event": event,
        "event_count": len(tape.events),
        "phase": phase_at(tape, event),
        "op": _op_at(tape, event),
        "total_bytes": int(tape.live_bytes[event]),
        "storage_count": len(alive),
        "modules": _modules(tape, alive),
        "tensors": [_tensor(tape, int(storage), layouts) for storage in largest],
    }


def _op_at(tape: Tape, event: int) -> dict[str, str] | None:
    """The op in which the peak is reached; None where it is before the first."""
    op = int(np.searchsorted(tape.op_event, event, side="right")) - 1
    return None if op < 0 else _op(tape, op)


def _op(tape: Tape, op: int) -> dict[str, str]:
    return {"name": tape.names[tape.op_name[op]], "module": tape.modules[tape.op_module[op]]}


def _modules(tape: Tape, alive: Ints) -> list[dict[str, Any]]:
    held: dict[str, dict[str, Any]] = {}
    for storage in alive.tolist():
        module = _owner(tape, storage)
        empty = {"module": module, "bytes": 0, "count": 0, "bytes_by_category": {}}
        entry = held.setdefault(module, empty)
        size, category = int(tape.storage_bytes[storage]), _category(tape, storage)
        entry["bytes"] += size
        entry["count"] += 1
        parts = entry["bytes_by_category"]
        parts[category] = parts.get(category, 0) + size
    return sorted(held.values(), key=lambda entry: -entry["bytes"])


def _owner(tape: Tape, storage: int) -> str:
    """As `storage_module`, but the optimizer's state of `h.0.weight` is that of `h.0` too."""
    name = int(tape.storage_name[storage])
    if name >= 0 and tape.storage_category[storage] in _OF_PARAMETERS:
        parameter = tape.names[name].rpartition(".")[0]
        return parameter.rpartition(".")[0]
    return storage_module(tape, storage)


def _category(tape: Tape, storage: int) -> str:
    return Category(tape.storage_category[storage]).name


def _tensor(tape: Tape, storage: int, layouts: dict[int, int]) -> dict[str, Any]:
    op, name = int(tape.storage_op[storage]), int(tape.storage_name[storage])
    dtype, shape = tape.layouts[layouts[storage]] if storage in layouts else (None, None)
    death = int(tape.deaths[storage])
    return {
        "name": tape.names[name] if name >= 0 else None,
        "op": _op(tape, op)["name"] if op >= 0 else None,
        "module": _owner(tape, storage),
        "phase": tape.phases[tape.op_phase[op]] if op >= 0 else None,
        "category": _category(tape, storage),
        "bytes": int(tape.storage_bytes[storage]),
        "dtype": dtype,
        "shape": None if shape is None else list(shape),
        "first_event": int(tape.births[storage]),
        "end_event": None if death >= len(tape.events) else death,
    }
