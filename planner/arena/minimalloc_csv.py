"""The CSV of MiniMalloc's benchmarks: `id,lower,upper,size`, and `offset` once there is a layout.

https://github.com/google/minimalloc: lifetimes are half-open, `[lower, upper)`. Its optional
columns `alignment`, `hint` and `gaps` are refused, not ignored: a layout without them may be wrong.
"""

from __future__ import annotations

import csv
import io

import numpy as np

from planner.arena.buffers import Buffers, Ints

_COLUMNS = ("id", "lower", "upper", "size")


def read_csv(text: str) -> Buffers:
    """The buffers of a file's text.

    Raises:
        ValueError: not such a file; says which line.
    """
    reader = csv.DictReader(io.StringIO(text))
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if missing := [name for name in _COLUMNS if name not in names]:
        raise ValueError(f"no column {', '.join(missing)}; the first line names the columns")
    if unknown := [name for name in names if name not in (*_COLUMNS, "offset")]:
        raise ValueError(f"column {', '.join(unknown)} is not supported")
    ids, rows = [], []
    for record in reader:
        try:
            rows.append([int(record[name]) for name in _COLUMNS[1:]])
        except (TypeError, ValueError):
            raise ValueError(f"line {reader.line_num}: not three integers") from None
        ids.append(record["id"])
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Buffers(tuple(ids), table[:, 0], table[:, 1], table[:, 2])


def write_csv(buffers: Buffers, offsets: Ints | None = None) -> str:
    """The text of a file with these buffers, and their offsets where given."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = [buffers.lower, buffers.upper, buffers.size_bytes]
    header = list(_COLUMNS)
    if offsets is not None:
        columns.append(offsets)
        header.append("offset")
    writer.writerow(header)
    writer.writerows(zip(buffers.ids, *(column.tolist() for column in columns), strict=True))
    return file.getvalue()
