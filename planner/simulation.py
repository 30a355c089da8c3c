"""Replay of a tape: the memory curve, its peak, and what is alive there. From the tape alone; no
torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from planner.prediction import Categories, Holder, Phase, Prediction
from planner.tape import Category, Ints, Tape

LARGEST = 30
MODULES = 60


def simulate(tape: Tape) -> Prediction:
    """Replay the tape's events. O(events); categories at the peak add up to the peak."""
    live = tape.live_bytes
    peak_event = int(np.argmax(live))
    alive = tape.alive_at(peak_event)
    phases = phase_peaks(tape)
    return Prediction(
        peak_bytes=int(live[peak_event]),
        peak_phase=phase_at(tape, peak_event),
        phases=phases,
        at_peak=_by_category(tape, alive),
        largest_at_peak=_largest(tape, alive),
        modules_at_peak=_by_module(tape, alive),
        reserved_bytes=None if tape.reserved_bytes is None else int(tape.reserved_bytes.max()),
        **tape.meta.get("memory", {}),
        parameter_count=tape.meta["parameter_count"],
        trainable_parameter_count=tape.meta["trainable_parameter_count"],
        step_flops=step_flops(tape),
        op_count=tape.op_count,
        load_peak_bytes=tape.meta.get("load_peak_bytes"),
        limitations=[*tape.meta["limitations"], *_of_load(tape)],
    )


def _of_load(tape: Tape) -> list[str]:
    """That a compressed model was larger before, where no phase is as large."""
    load: int | None = tape.meta.get("load_peak_bytes")
    if load is None or load <= tape.live_bytes.max():
        return []
    return [
        "the phases begin with the compressed model; building it in full precision and compressing "
        f"it takes {load} bytes (load_peak_bytes), more than any phase, and fits says nothing of it"
    ]


def phase_peaks(tape: Tape) -> list[Phase]:
    """Highest live bytes within each phase (its starting level included) and those at its end."""
    live = tape.live_bytes
    result = []
    for name, (first, end) in zip(tape.phases, tape.phase_events, strict=True):
        window = slice(max(first - 1, 0), max(end, 1))
        reserved = None if tape.reserved_bytes is None else int(tape.reserved_bytes[window].max())
        result.append(
            Phase(
                name=name,
                peak_bytes=int(live[window].max()),
                end_bytes=int(live[window][-1]),
                reserved_bytes=reserved,
            )
        )
    return result


def phase_at(tape: Tape, event: int) -> str:
    """Name of the phase that contains the event; what is alive before the first phase belongs to
    it.
    """
    index = int(np.searchsorted(tape.phase_events[:, 0], event, side="right")) - 1
    return tape.phases[max(index, 0)]


def step_flops(tape: Tape) -> int:
    """FLOPs of one step: those of the last step traced (steps differ only in what is alive)."""
    return int(tape.op_flops[np.isin(tape.op_phase, phases_of_last_step(tape))].sum())


def phases_of_last_step(tape: Tape) -> list[int]:
    """Indices of the phases of the last step traced."""
    last = tape.phases[-1].partition(".")[0] + "."
    return [index for index, name in enumerate(tape.phases) if name.startswith(last)]


def timeline(
    tape: Tape, max_points: int = 2_000, first_event: int = 0, end_event: int | None = None
) -> dict[str, Any]:
    """Live bytes over events by category, thinned to `max_points` buckets without losing any
    bucket's peak; of the events from `first_event` to before `end_event`, at least one.

    Returns series of equal length: `event`, `total_bytes` and one of `bytes_by_category` each,
    sampled where the total of the bucket is highest, `reserved_bytes` where the device has a
    caching allocator (else None), and all `phases` with their first and end event.
    """
    live = tape.live_bytes
    first = min(first_event, len(live) - 1)
    end = len(live) if end_event is None else max(first + 1, end_event)
    chosen = _bucket_peaks(live[first:end], max_points) + first
    events = tape.events
    storages = np.where(events < 0, ~events, events)
    signed = np.where(events < 0, -1, 1) * tape.storage_bytes[storages]
    categories = tape.storage_category[storages]
    by_category = {
        category.name: np.cumsum(np.where(categories == category, signed, 0))[chosen].tolist()
        for category in Category
    }
    return {
        "event": chosen.tolist(),
        "total_bytes": live[chosen].tolist(),
        "bytes_by_category": by_category,
        "reserved_bytes": (
            None if tape.reserved_bytes is None else tape.reserved_bytes[chosen].tolist()
        ),
        "phases": [
            {"name": name, "first_event": int(first), "end_event": int(end)}
            for name, (first, end) in zip(tape.phases, tape.phase_events, strict=True)
        ],
        "event_count": len(events),
    }


def _bucket_peaks(live: Ints, max_points: int) -> Ints:
    """Where the total is highest in each of that many runs of events, as `np.array_split` cuts
    them: the first ones have one event more where it does not come out even."""
    count = max(1, min(max_points, len(live)))
    size, longer = divmod(len(live), count)
    split = longer * (size + 1)
    peaks = [
        first + np.arange(0, len(part), width) + part.reshape(-1, width).argmax(axis=1)
        for first, part, width in ((0, live[:split], size + 1), (split, live[split:], size))
        if len(part)
    ]
    return np.concatenate(peaks) if peaks else np.zeros(0, dtype=np.int64)


def _by_category(tape: Tape, alive: Ints) -> Categories:
    totals = np.zeros(len(Category), dtype=np.int64)
    np.add.at(totals, tape.storage_category[alive], tape.storage_bytes[alive])
    return Categories(**{category.name: int(totals[category]) for category in Category})


def storage_layouts(tape: Tape) -> dict[int, int]:
    """Storage -> layout of the largest tensor on it, the first of several; scratch has none."""
    order = np.lexsort((np.arange(len(tape.tensor_storage)), -tape.tensor_bytes))
    storages, first = np.unique(tape.tensor_storage[order], return_index=True)
    return dict(zip(storages.tolist(), tape.tensor_layout[order[first]].tolist(), strict=True))


def storage_label(tape: Tape, storage: int) -> str:
    """A parameter's or input's own name, else `op in module`."""
    if (name := int(tape.storage_name[storage])) >= 0:
        return tape.names[name]
    op = int(tape.storage_op[storage])
    if op < 0:
        return "before the step"
    module = tape.modules[int(tape.op_module[op])] or "the step itself"
    return f"{tape.names[tape.op_name[op]]} in {module}"


def _largest(tape: Tape, alive: Ints) -> list[Holder]:
    order = alive[np.argsort(-tape.storage_bytes[alive], kind="stable")][:LARGEST]
    return [
        Holder(
            name=storage_label(tape, int(storage)),
            bytes=int(tape.storage_bytes[storage]),
            category=Category(tape.storage_category[storage]).name,
            phase=tape.phases[tape.op_phase[op]] if (op := tape.storage_op[storage]) >= 0 else None,
        )
        for storage in order
    ]


def storage_module(tape: Tape, storage: int) -> str:
    """Module that owns a parameter or buffer, else the module whose op allocated the storage."""
    op = int(tape.storage_op[storage])
    if op >= 0:
        return tape.modules[int(tape.op_module[op])]
    name = int(tape.storage_name[storage])
    return tape.names[name].rpartition(".")[0] if name >= 0 else ""


def _by_module(tape: Tape, alive: Ints) -> list[Holder]:
    totals: dict[str, tuple[int, int]] = {}
    for storage in alive:
        module = storage_module(tape, int(storage))
        size, count = totals.get(module, (0, 0))
        totals[module] = (size + int(tape.storage_bytes[storage]), count + 1)
    ranked = sorted(totals.items(), key=lambda item: -item[1][0])[:MODULES]
    return [Holder(name=name, bytes=size, count=count) for name, (size, count) in ranked]
