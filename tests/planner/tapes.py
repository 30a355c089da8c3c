"""Tapes made by hand: a tiny language for tests, and one checker of a tape's invariants."""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.tape import Category, Tape


def tape_of(
    events: list[int],
    sizes: list[int],
    *,
    op_events: list[int] | None = None,
    phases: dict[str, tuple[int, int]] | None = None,
    categories: list[Category] | None = None,
    **columns: Any,
) -> Tape:
    """A tape of these events (storage, or ~storage for its death), sizes, and bare ops."""
    op_events = op_events or []
    phases = phases or {"step0.forward": (0, len(events))}
    storages, ops = len(sizes), len(op_events)
    zeros = np.zeros
    values: dict[str, Any] = {
        "meta": {"parameter_count": 0, "trainable_parameter_count": 0, "limitations": []},
        "names": ["aten.op"],
        "modules": ["", "block"],
        "phases": list(phases),
        "layouts": [],
        "phase_events": np.array(list(phases.values()), dtype=np.int64),
        "events": np.array(events, dtype=np.int32),
        "op_name": zeros(ops, np.int32),
        "op_module": zeros(ops, np.int32),
        "op_phase": zeros(ops, np.int32),
        "op_event": np.array(op_events, dtype=np.int64),
        "op_flops": zeros(ops, np.int64),
        "op_flags": zeros(ops, np.uint8),
        "op_inputs": zeros(0, np.int32),
        "op_inputs_at": zeros(ops + 1, np.int64),
        "op_outputs": zeros(0, np.int32),
        "op_outputs_at": zeros(ops + 1, np.int64),
        "tensor_storage": zeros(0, np.int32),
        "tensor_op": zeros(0, np.int32),
        "tensor_layout": zeros(0, np.int32),
        "storage_bytes": np.array(sizes, dtype=np.int64),
        "storage_category": np.array(
            categories or [Category.temporaries] * storages, dtype=np.uint8
        ),
        "storage_op": np.full(storages, -1, dtype=np.int32),
        "storage_name": np.full(storages, -1, dtype=np.int32),
    }
    return Tape(**values | columns)


def check_tape(tape: Tape) -> None:
    """Every storage lives once, nothing dies unborn, no level is negative, all is in order."""
    births = tape.events[tape.events >= 0].tolist()
    deaths = (~tape.events[tape.events < 0]).tolist()
    assert len(set(births)) == len(births)
    assert len(set(deaths)) == len(deaths)
    assert set(deaths) <= set(births)
    assert all(tape.births[storage] < tape.deaths[storage] for storage in births)
    assert (tape.live_bytes >= 0).all()
    assert (np.diff(tape.op_event) >= 0).all()
    assert (tape.phase_events[:, 0] <= tape.phase_events[:, 1]).all()
    assert (tape.phase_events[1:, 0] >= tape.phase_events[:-1, 1]).all()
    assert tape.op_inputs_at[-1] == len(tape.op_inputs)
    assert tape.op_outputs_at[-1] == len(tape.op_outputs)
