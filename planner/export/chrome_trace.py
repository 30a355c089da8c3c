"""A tape in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

Format: "Trace Event Format" (Duin, Sinclair et al., Google 2016): complete events (`X`), counters
(`C`) and metadata (`M`). A tape has no times: every op is drawn as one microsecond, so widths count
ops and are no durations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from planner.tape import Category, Tape

_PHASES, _MODULES, _OPS = 1, 2, 3
_THREADS = {_PHASES: "phases", _MODULES: "modules", _OPS: "ops"}
_PROCESS = 1

Event = dict[str, Any]


def chrome_trace(tape: Tape) -> bytes:
    """The trace as JSON: phases, modules as nested slices, ops with their FLOPs, and live bytes by
    category as counters (reserved bytes too, where the device has a caching allocator).
    """
    events = [*_metadata(tape), *_phases(tape), *_modules(tape), *_ops(tape), *_counters(tape)]
    trace = {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"clock": "one op is one microsecond; widths are no durations"},
    }
    return json.dumps(trace, separators=(",", ":"), allow_nan=False).encode()


def _metadata(tape: Tape) -> Iterator[Event]:
    named = [("process_name", 0, "Headroom: a simulated workload")]
    named += [("thread_name", thread, name) for thread, name in _THREADS.items()]
    for kind, thread, name in named:
        yield _event("M", "__metadata", kind, args={"name": name}, tid=thread, ts=0)


def _event(kind: str, category: str, name: str, **fields: Any) -> Event:
    return {"ph": kind, "cat": category, "pid": _PROCESS, "name": name, **fields}


def _slice(thread: int, name: str, first: int, end: int, **arguments: Any) -> Event:
    times = {"tid": thread, "ts": first, "dur": end - first}
    return _event("X", _THREADS[thread], name, **times, args=arguments)


def _phases(tape: Tape) -> Iterator[Event]:
    for index, name in enumerate(tape.phases):
        ops = np.flatnonzero(tape.op_phase == index)
        if len(ops):
            yield _slice(_PHASES, name, int(ops[0]), int(ops[-1]) + 1)


def _modules(tape: Tape) -> Iterator[Event]:
    """Runs of ops in one module, and of ops in each module above it."""
    open_: list[tuple[str, int]] = []
    paths = [_parents(path) for path in tape.modules]
    for op in range(tape.op_count + 1):
        path = paths[tape.op_module[op]] if op < tape.op_count else []
        shared = 0
        while shared < min(len(open_), len(path)) and open_[shared][0] == path[shared]:
            shared += 1
        while len(open_) > shared:
            name, first = open_.pop()
            yield _slice(_MODULES, name, first, op)
        open_ += [(name, op) for name in path[shared:]]


def _parents(path: str) -> list[str]:
    """`"h.0.attn"` -> `["h", "h.0", "h.0.attn"]`; the model itself has none."""
    parts = path.split(".") if path else []
    return [".".join(parts[: index + 1]) for index in range(len(parts))]


def _ops(tape: Tape) -> Iterator[Event]:
    for op in range(tape.op_count):
        name, module = tape.names[tape.op_name[op]], tape.modules[tape.op_module[op]]
        yield _slice(_OPS, name, op, op + 1, module=module, flops=int(tape.op_flops[op]))


def _counters(tape: Tape) -> Iterator[Event]:
    """A point after each event; those of one op are spread over its microsecond."""
    dead = tape.events < 0
    storages = np.where(dead, ~tape.events, tape.events)
    signed = np.where(dead, -1, 1) * tape.storage_bytes[storages]
    categories = tape.storage_category[storages]
    shown = [each for each in Category if (categories == each).any()]
    series = {each.name: np.cumsum(np.where(categories == each, signed, 0)) for each in shown}
    columns = {name: values.tolist() for name, values in series.items()}
    reserved = None if tape.reserved_bytes is None else tape.reserved_bytes.tolist()
    for index, time in enumerate(_times(tape).tolist()):
        live = {name: values[index] for name, values in columns.items()}
        yield _event("C", "memory", "live bytes", tid=0, ts=time, args=live)
        if reserved is not None:
            held = {"bytes": reserved[index]}
            yield _event("C", "memory", "reserved bytes", tid=0, ts=time, args=held)


def _times(tape: Tape) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Microseconds of each event: its op's number and a part of one; before the first op, 0."""
    events = np.arange(len(tape.events))
    op = np.searchsorted(tape.op_event, events, side="right") - 1
    starts = np.append(tape.op_event, len(tape.events))
    inside = events - starts[np.maximum(op, 0)]
    count = np.maximum(starts[np.maximum(op, 0) + 1] - starts[np.maximum(op, 0)], 1)
    return np.where(op < 0, 0.0, op + inside / count) if tape.op_count else events / 1.0
