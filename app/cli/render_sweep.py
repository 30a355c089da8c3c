"""A sweep as people see it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.outcome import fits, needed_bytes
from app.cli.render import bytes_text, headed


def sweep(found: dict[str, Any], limit: int | None) -> RenderableType:
    """A grid where two things vary, else a list, with what fits in green and what does not in red
    and marked.
    """
    axes = [axis["pointer"] for axis in found["request"]["vary"]]
    table = _grid(found, axes, limit) if len(axes) == 2 else _list(found, axes, limit)
    notes = [
        Text(f"{_named(point['values'])}: {_why(point)}", style="yellow")
        for point in found["points"]
        if point["status"] != "succeeded"
    ]
    return Group(table, *notes)


def _grid(found: dict[str, Any], axes: list[str], limit: int | None) -> Table:
    down, across = axes
    rows: dict[str, dict[str, Text]] = {}
    for point in found["points"]:
        row = rows.setdefault(str(point["values"][down]), {})
        row[str(point["values"][across])] = _cell(point, limit)
    columns = list(next(iter(rows.values())))
    table = headed(f"Needed at each {_name(across)}", _name(down), *columns)
    for name, cells in rows.items():
        table.add_row(name, *(cells[column] for column in columns))
    return table


def _list(found: dict[str, Any], axes: list[str], limit: int | None) -> Table:
    table = headed("", *(_name(axis) for axis in axes), "Needed", "Step")
    for point in found["points"]:
        seconds = point.get("step_seconds")
        values = [str(point["values"][axis]) for axis in axes]
        time = "" if seconds is None else f"{seconds * 1000:,.1f} ms"
        table.add_row(*values, _cell(point, limit), time)
    return table


def _cell(point: dict[str, Any], limit: int | None) -> Text:
    if point["status"] != "succeeded":
        return Text("-", style="dim")
    known = point.get("fits")
    if known is None and limit is None:
        return Text(bytes_text(needed_bytes(point)))
    good = known is not False and fits(point, limit)
    mark = "" if good else " !"
    return Text(bytes_text(needed_bytes(point)) + mark, style="green" if good else "red")


def _why(point: dict[str, Any]) -> str:
    problem = point.get("problem") or {}
    return str(problem.get("detail") or point["status"])


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{_name(pointer)} {value}" for pointer, value in values.items())


def _name(pointer: str) -> str:
    return pointer.rpartition("/")[2].replace("_", " ")
