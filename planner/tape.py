"""The tape: every op of a workload in order, and every storage it made, as columns.

A tape is a list of *events*. `event >= 0` is the birth of storage `event`; `event < 0` is the death
of storage `~event`. Ops and phases are intervals of that list, so the memory curve is one
cumulative sum, and changing the events and replaying is cheap. Ragged columns (an op's inputs and
outputs) are stored as values and offsets.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

FORMAT = 1


class Category(IntEnum):
    """What a storage is for; the names are those of `Prediction.at_peak`."""

    parameters = 0
    gradients = 1
    optimizer_state = 2
    activations = 3
    temporaries = 4
    inputs = 5
    buffers = 6
    workspace = 7


class OpFlag(IntEnum):
    """Bits of `op_flags`."""

    view = 1  # only makes views of its inputs: moves no bytes
    recompute = 2  # forward work done again inside backward
    random = 4  # draws random numbers
    in_place = 8  # writes into an input


@dataclass(frozen=True, eq=False)
class Tape:
    """Columns of one traced workload; the index of a row is its id.

    Ops: `op_name`, `op_module`, `op_phase` index `names`, `modules`, `phases`; `op_event[i]` is the
    number of events before op i; `op_flops` counts 2 per multiply-accumulate. Tensors
    `op_inputs[op_inputs_at[i]:op_inputs_at[i+1]]` are read by op i, likewise `op_outputs`. Tensors:
    their storage, the op that made them (-1: outside the step) and a layout in `layouts`. Storages:
    bytes, `Category`, op that allocated them (-1: before the step), `storage_name` in `names` or
    -1. `reserved_bytes`, where the device has a caching allocator, is what that holds after each
    event; bytes of storages are then those of its blocks.
    """

    meta: dict[str, Any]
    names: list[str]
    modules: list[str]
    phases: list[str]
    layouts: list[tuple[str, tuple[int, ...]]]
    phase_events: Ints  # (phases, 2): first event, end event
    events: NDArray[np.int32]
    op_name: NDArray[np.int32]
    op_module: NDArray[np.int32]
    op_phase: NDArray[np.int32]
    op_event: Ints
    op_flops: Ints
    op_flags: NDArray[np.uint8]
    op_inputs: NDArray[np.int32]
    op_inputs_at: Ints
    op_outputs: NDArray[np.int32]
    op_outputs_at: Ints
    tensor_storage: NDArray[np.int32]
    tensor_op: NDArray[np.int32]
    tensor_layout: NDArray[np.int32]
    storage_bytes: Ints
    storage_category: NDArray[np.uint8]
    storage_op: NDArray[np.int32]
    storage_name: NDArray[np.int32]
    reserved_bytes: Ints | None = None

    @property
    def op_count(self) -> int:
        """Number of ops."""
        return len(self.op_name)

    @cached_property
    def live_bytes(self) -> Ints:
        """Live bytes after each event, shape (events,)."""
        dead = self.events < 0
        storages = np.where(dead, ~self.events, self.events)
        sizes = self.storage_bytes[storages]
        return np.cumsum(np.where(dead, -sizes, sizes))

    @cached_property
    def births(self) -> Ints:
        """Event index at which each storage is born, shape (storages,)."""
        return self._event_of(self.events >= 0, missing=len(self.events))

    @cached_property
    def deaths(self) -> Ints:
        """Event index at which each storage dies; `len(events)` for those alive at the end."""
        return self._event_of(self.events < 0, missing=len(self.events))

    def _event_of(self, chosen: NDArray[np.bool_], missing: int) -> Ints:
        found = np.full(len(self.storage_bytes), missing, dtype=np.int64)
        positions = np.flatnonzero(chosen)
        events = self.events[positions]
        found[np.where(events < 0, ~events, events)] = positions
        return found

    @cached_property
    def tensor_bytes(self) -> Ints:
        """Bytes of each tensor's elements (a view counts its own elements), shape (tensors,)."""
        sizes = np.array([_layout_bytes(*layout) for layout in self.layouts], dtype=np.int64)
        return sizes[self.tensor_layout] if len(sizes) else np.zeros(0, dtype=np.int64)

    @cached_property
    def op_bytes_read(self) -> Ints:
        """Bytes of the tensors each op reads, each operand once; 0 for views."""
        return self._per_op(self.op_inputs, self.op_inputs_at)

    @cached_property
    def op_bytes_written(self) -> Ints:
        """Bytes of the tensors each op writes; 0 for views."""
        return self._per_op(self.op_outputs, self.op_outputs_at)

    def _per_op(self, tensors: NDArray[np.int32], offsets: Ints) -> Ints:
        totals = np.concatenate([[0], np.cumsum(self.tensor_bytes[tensors])])
        per_op = totals[offsets[1:]] - totals[offsets[:-1]]
        return np.where(self.op_flags & OpFlag.view, 0, per_op)

    def with_scratch(self, scratch: list[tuple[int, int]]) -> Tape:
        """A tape on which each op of `(op, bytes)` holds that much scratch while it runs."""
        if not scratch:
            return self
        ops, sizes = (
            np.array(column, dtype=np.int64) for column in zip(*sorted(scratch), strict=True)
        )
        ids = np.arange(len(ops), dtype=np.int32) + len(self.storage_bytes)
        # Born before the op's outputs, dead right after them, and before the next op begins.
        places = np.stack([self.op_event[ops], self._op_births_end()[ops]], axis=1)
        events = np.insert(self.events, places.ravel(), np.stack([ids, ~ids], axis=1).ravel())
        shift = 2 * np.searchsorted(ops, np.arange(self.op_count), side="left")
        before = np.searchsorted(self.op_phase[ops], np.arange(len(self.phases)), side="left")
        until = np.searchsorted(self.op_phase[ops], np.arange(len(self.phases)), side="right")
        phase_shift = 2 * np.stack([before, until], axis=1)
        return replace(
            self,
            events=events,
            op_event=self.op_event + shift,
            phase_events=self.phase_events + phase_shift,
            storage_bytes=np.append(self.storage_bytes, sizes),
            storage_category=np.append(
                self.storage_category, np.full(len(ops), Category.workspace, dtype=np.uint8)
            ),
            storage_op=np.append(self.storage_op, ops.astype(np.int32)),
            storage_name=np.append(self.storage_name, np.full(len(ops), -1, dtype=np.int32)),
        )

    def _op_births_end(self) -> Ints:
        """For each op, the index just after the last birth among its events."""
        ends = self.op_event.copy()
        births = np.flatnonzero(self.events >= 0)
        owner = np.searchsorted(self.op_event, births, side="right") - 1
        inside = owner >= 0
        np.maximum.at(ends, owner[inside], births[inside] + 1)
        return ends

    def alive_at(self, event: int) -> Ints:
        """Ids of the storages alive just after `event`."""
        return np.flatnonzero((self.births <= event) & (self.deaths > event))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tape to a compact file."""
        with open(path, "wb") as file:
            file.write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The tape as a compressed `.npz`: arrays, and the string tables as JSON."""
        arrays = {name: column for name in _ARRAYS if (column := getattr(self, name)) is not None}
        tables = {name: getattr(self, name) for name in _TABLES} | {"format": FORMAT}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            allow_pickle=False,
            tables=np.frombuffer(json.dumps(tables).encode(), dtype=np.uint8),
            **arrays,
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, source: str | os.PathLike[str] | bytes) -> Tape:
        """Read a tape from a file or from `to_bytes()`.

        Raises:
            ValueError: not a tape, or one of another format.
        """
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with np.load(file, allow_pickle=False) as stored:
            tables = json.loads(stored["tables"].tobytes())
            if tables.pop("format", None) != FORMAT:
                raise ValueError(f"not a tape of format {FORMAT}; simulate again to make one")
            tables["layouts"] = [(dtype, tuple(shape)) for dtype, shape in tables["layouts"]]
            return cls(**tables, **{name: stored[name] for name in _ARRAYS if name in stored})


_TABLES = ("meta", "names", "modules", "phases", "layouts")
_ARRAYS = tuple(field.name for field in fields(Tape) if field.name not in _TABLES)

_ITEM_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8,
    "uint64": 8, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex32": 4,
    "complex64": 8, "complex128": 16, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip


def _layout_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    elements = 1
    for size in shape:
        elements *= size
    return elements * _ITEM_BYTES[dtype]
