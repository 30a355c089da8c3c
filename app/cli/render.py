"""What people see: tables on standard output, problems on standard error."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.quantities import format_bytes

_SHOWN_MODULES = 8


def bytes_text(count: int | None) -> str:
    """`1536` -> `"1.50 KiB"`; nothing known is a dash."""
    return "-" if count is None else format_bytes(count)


def prediction(resource: dict[str, Any]) -> RenderableType:
    """A simulation's answer: the peak, where it comes from, and each phase."""
    found = resource["prediction"]
    headline = Text.assemble(
        ("Peak ", "bold"),
        (bytes_text(found["peak_bytes"]), "bold green"),
        f"  ({found['peak_bytes']:,} bytes) in {found['peak_phase']}",
    )
    facts = (
        f"{found['parameter_count']:,} parameters, "
        f"{found['trainable_parameter_count']:,} of them trained; "
        f"{found['step_flops'] / 1e9:,.1f} GFLOP a step; {found['op_count']:,} ops"
    )
    notes = [Text(f"Note: {note}", style="yellow") for note in found.get("limitations", [])]
    tables = Table.grid(padding=(0, 4))
    tables.add_row(_phases(found), Group(_categories(found), _modules(found)))
    return Group(headline, facts, *notes, "", tables)


def _phases(found: dict[str, Any]) -> Table:
    table = Table("Phase", title="Live bytes by phase", title_justify="left")
    table.add_column("Peak", justify="right")
    table.add_column("At its end", justify="right")
    for phase in found["phases"]:
        style = "bold green" if phase["name"] == found["peak_phase"] else ""
        table.add_row(
            phase["name"],
            bytes_text(phase["peak_bytes"]),
            bytes_text(phase["end_bytes"]),
            style=style,
        )
    return table


def _categories(found: dict[str, Any]) -> Table:
    table = Table("Category", title="At the peak", title_justify="left")
    table.add_column("Bytes", justify="right")
    table.add_column("Share", justify="right")
    held = sorted(found["at_peak"].items(), key=lambda item: -item[1])
    for name, count in held:
        if count:
            share = count / found["peak_bytes"]
            table.add_row(name.replace("_", " "), bytes_text(count), f"{share:.1%}")
    return table


def _modules(found: dict[str, Any]) -> Table:
    table = Table("Module", title="Who holds it", title_justify="left")
    table.add_column("Bytes", justify="right")
    for holder in found.get("modules_at_peak", [])[:_SHOWN_MODULES]:
        table.add_row(holder["name"] or "(the step itself)", bytes_text(holder["bytes"]))
    return table


def comparison(run: dict[str, Any]) -> RenderableType:
    """A finished run: predicted beside measured for each phase, with the relative error."""
    predicted, measured = run["predicted"], run["measured"]
    table = Table("Phase", title="Most live bytes", title_justify="left")
    for column in ("Predicted", "Measured", "Difference", "Error"):
        table.add_column(column, justify="right")
    of_phase = {phase["name"]: phase["peak_bytes"] for phase in predicted["phases"]}
    for phase in measured["phases"]:
        _compare(table, phase["name"], of_phase.get(phase["name"]), phase["peak_bytes"])
    table.add_section()
    _compare(table, "whole workload", predicted["peak_bytes"], measured["peak_bytes"], "bold")
    return Group(table, *_measured_facts(run))


def _compare(table: Table, name: str, predicted: int | None, real: int, style: str = "") -> None:
    if predicted is None:
        table.add_row(name, "-", f"{real:,}", "-", "-", style=style)
        return
    error = (predicted - real) / real if real else 0.0
    table.add_row(
        name,
        f"{predicted:,}",
        f"{real:,}",
        f"{predicted - real:+,}" if predicted != real else "0",
        f"{error:+.4%}" if predicted != real else "0 %",
        style=style,
    )


def _measured_facts(run: dict[str, Any]) -> list[str]:
    measured = run["measured"]
    facts = []
    if measured.get("step_seconds") is not None:
        facts.append(f"One step takes {measured['step_seconds']:.3f} s (median).")
    for field in ("reserved_bytes", "device_bytes"):
        if measured.get(field) is not None:
            name = field.removesuffix("_bytes").capitalize()
            facts.append(f"{name}: {bytes_text(measured[field])}")
    return facts


def listing(columns: list[tuple[str, str]], items: list[dict[str, Any]], empty: str) -> Any:
    """A table of resources; `columns` are (heading, dotted path) pairs."""
    if not items:
        return empty
    table = Table(*(heading for heading, _ in columns))
    for item in items:
        table.add_row(*(_cell(item, path) for _, path in columns))
    return table


def _cell(item: dict[str, Any], path: str) -> str:
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return "-"
    if path.endswith("_bytes"):
        return bytes_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={content}" for name, content in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def problem(console: Console, found: dict[str, Any]) -> None:
    """An error: what is wrong, where, and what to do about it."""
    title = found.get("title") or "Failed"
    console.print(Text.assemble(("Error: ", "bold red"), str(title)))
    errors = found.get("errors")
    for error in errors if isinstance(errors, list) else []:
        console.print(Text(f"  {error.get('pointer', '')}: {error.get('detail', '')}"))
        if error.get("remedy"):
            console.print(Text(f"    {error['remedy']}", style="dim"))
    detail = found.get("detail")
    if detail and not errors and detail != title:
        console.print(Text(f"  {detail}"))
