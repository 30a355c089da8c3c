"""A tape as a table: one row for each storage, in the order of their births.

Columns: `name` (a parameter's or input's own, else null), `category`, `module`, `op` and `phase`
that made it (null where it was there before the first op), `dtype` and `shape` of its largest
tensor (null for scratch), `bytes`, `first_event` and `end_event` (null where it lives to the end),
and `at_peak`.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np

from planner.simulation import storage_layouts, storage_module
from planner.tape import Category, Tape

COLUMNS = (
    *("storage", "name", "category", "module", "op", "phase", "dtype", "shape", "bytes"),
    *("first_event", "end_event", "at_peak"),
)


def columns(tape: Tape) -> dict[str, list[Any]]:
    """The table by columns. O(storages + tensors)."""
    order = np.argsort(tape.births, kind="stable")
    order = order[tape.births[order] < len(tape.events)]
    peak = set(tape.alive_at(int(np.argmax(tape.live_bytes))).tolist())
    layouts = storage_layouts(tape)
    rows = [_row(tape, int(storage), layouts, peak) for storage in order]
    return {name: [row[index] for row in rows] for index, name in enumerate(COLUMNS)}


def write_csv(tape: Tape) -> bytes:
    """The table as CSV (RFC 4180) with a header; null is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(zip(*columns(tape).values(), strict=True))
    return text.getvalue().encode()


def write_parquet(tape: Tape) -> bytes:
    """The table as Apache Parquet."""
    import pyarrow
    import pyarrow.parquet

    numbers = {"storage", "bytes", "first_event", "end_event"}
    words = {name: pyarrow.string() for name in COLUMNS if name not in numbers}
    types = words | dict.fromkeys(numbers, pyarrow.int64()) | {"at_peak": pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[name]) for name in COLUMNS])
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns(tape), schema=schema), buffer)
    return buffer.getvalue()


def _row(tape: Tape, storage: int, layouts: dict[int, int], peak: set[int]) -> tuple[Any, ...]:
    name, op = int(tape.storage_name[storage]), int(tape.storage_op[storage])
    dtype, shape = tape.layouts[layouts[storage]] if storage in layouts else (None, None)
    death = int(tape.deaths[storage])
    return (
        storage,
        tape.names[name] if name >= 0 else None,
        Category(tape.storage_category[storage]).name,
        storage_module(tape, storage),
        tape.names[tape.op_name[op]] if op >= 0 else None,
        tape.phases[tape.op_phase[op]] if op >= 0 else None,
        dtype,
        None if shape is None else "x".join(map(str, shape)),
        int(tape.storage_bytes[storage]),
        int(tape.births[storage]),
        death if death < len(tape.events) else None,
        storage in peak,
    )
