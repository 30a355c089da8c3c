"""What people see: tables on standard output, problems on standard error."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from planner.quantities import format_bytes

_SHOWN_MODULES = 8
_WIDE = Console(width=10_000)
"""To measure how wide something would like to be."""


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
    seconds = [_step_time(found)] if found.get("step_seconds") is not None else []
    notes = [Text(f"Note: {note}", style="yellow") for note in found.get("limitations", [])]
    # Side by side where the terminal is wide enough, else one below the other.
    shown = [_phases(found), _categories(found), _modules(found)]
    shown += [_tiers(found["tiers"])] if found.get("tiers") else []
    tables = Columns(shown, padding=(0, 3))
    return Group(headline, *_on_device(found), facts, *seconds, "", tables, *notes)


def _tiers(uses: list[dict[str, Any]]) -> Table:
    """What each memory holds, of how much, and moves in a step."""
    table = headed("Memory tiers", "Tier", "Most held", "Capacity", "Read a step", "Written")
    for use in uses:
        counts = ("peak_bytes", "capacity_bytes", "read_bytes", "written_bytes")
        style = "red" if use["fits"] is False else ""
        table.add_row(use["name"], *(bytes_text(use[name]) for name in counts), style=style)
    return table


def _on_device(found: dict[str, Any]) -> list[RenderableType]:
    """What the allocator and the driver hold, and whether the device serves it all."""
    lines: list[RenderableType] = []
    if found.get("reserved_bytes") is not None:
        shown = f"Reserved {bytes_text(found['reserved_bytes'])}"
        if found.get("device_bytes") is not None:
            shown += f", with the context at most {bytes_text(found['device_bytes'])}"
        lines.append(shown)
    failed = found.get("out_of_memory")
    if failed is not None:
        sure = "Does not fit" if found["fits"] is False else "May not fit"
        lines.append(
            Text(
                f"{sure}: in {failed['phase']}, {failed['tensor']} asks for "
                f"{bytes_text(failed['requested_bytes'])} with {bytes_text(failed['free_bytes'])} "
                f"free; {bytes_text(failed['allocated_bytes'])} are allocated and "
                f"{bytes_text(failed['unallocated_bytes'])} lost to fragmentation.",
                style="red",
            )
        )
    return lines


def _step_time(found: dict[str, Any]) -> str:
    if found.get("step_seconds_basis") == "calibrated":
        basis = f"calibrated (measured runs: {found['step_seconds_runs']})"
    else:
        basis = "by the device's peaks alone: a lower bound"
    return f"One step: {found['step_seconds']:.3g} s, {basis}"


def headed(title: str, first: str, *numbers: str) -> Table:
    """An empty table with a title: one column of names, the others of numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _phases(found: dict[str, Any]) -> Table:
    has_reserved = found.get("reserved_bytes") is not None
    numbers = ["Peak", "At its end", *(["Reserved"] if has_reserved else [])]
    table = headed("Live bytes by phase", "Phase", *numbers)
    for phase in found["phases"]:
        style = "bold green" if phase["name"] == found["peak_phase"] else ""
        counts = [phase["peak_bytes"], phase["end_bytes"]]
        counts += [phase["reserved_bytes"]] if has_reserved else []
        table.add_row(phase["name"], *map(bytes_text, counts), style=style)
    return table


def _categories(found: dict[str, Any]) -> Table:
    table = headed("At the peak", "Category", "Bytes", "Share")
    held = sorted(found["at_peak"].items(), key=lambda item: -item[1])
    for name, count in held:
        if count:
            share = count / found["peak_bytes"]
            table.add_row(name.replace("_", " "), bytes_text(count), f"{share:.1%}")
    return table


def _modules(found: dict[str, Any]) -> Table:
    table = headed("Who holds it", "Module", "Bytes")
    for holder in found.get("modules_at_peak", [])[:_SHOWN_MODULES]:
        table.add_row(holder["name"] or "(the step itself)", bytes_text(holder["bytes"]))
    return table


def comparison(run: dict[str, Any]) -> RenderableType:
    """A finished run: predicted beside measured for each phase, with the relative error."""
    table = headed("Most live bytes", "Phase", "Predicted", "Measured", "Difference", "Error")
    for phase in run["phases"]:
        pair = (phase["predicted_peak_bytes"], phase["measured_peak_bytes"])
        table.add_row(phase["name"], *_compared(*pair, phase["relative_error"]))
    table.add_section()
    pair = (run["predicted"]["peak_bytes"], run["measured"]["peak_bytes"])
    table.add_row("whole workload", *_compared(*pair, run["relative_error"]), style="bold")
    return Group(table, *_measured_facts(run), *_against_baseline(run))


def _compared(predicted: int | None, measured: int | None, error: float | None) -> list[str]:
    counts = ["-" if count is None else f"{count:,}" for count in (predicted, measured)]
    if predicted is None or measured is None or error is None:
        return [*counts, "-", "-"]
    if predicted == measured:
        return [*counts, "0", "0 %"]
    return [*counts, f"{predicted - measured:+,}", f"{error * 100:+.2g} %"]


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


def _against_baseline(run: dict[str, Any]) -> list[RenderableType]:
    """Of a plan's run: how it compares with the step that nothing is applied to."""
    baseline, match = run.get("baseline") or {}, run.get("gradients_match")
    lines: list[RenderableType] = []
    if (unplanned := baseline.get("measured")) is not None:
        planned = run["measured"]["peak_bytes"]
        less = 1 - planned / unplanned["peak_bytes"]
        lines.append(
            f"Planned {bytes_text(planned)}, unplanned {bytes_text(unplanned['peak_bytes'])}, "
            f"both measured: {less:.1%} less."
        )
    elif baseline.get("reason"):
        lines.append(Text(f"The unplanned step was not run: {baseline['reason']}", style="yellow"))
    if run.get("slowdown") is not None:
        lines.append(f"A planned step takes {run['slowdown']:.2f} times as long.")
    if match is not None:
        lines.append(_gradients(match))
    return lines


def _gradients(match: dict[str, Any]) -> Text:
    if "reason" in match:
        return Text(f"Gradients were not compared: {match['reason']}", style="yellow")
    if match["bitwise"]:
        return Text("Gradients are the same to the bit.", style="green")
    difference, tolerance = match["largest_relative_difference"], match["tolerance"]
    words = "match" if match["match"] else "DO NOT match"
    return Text(
        f"Gradients {words}: the largest relative difference is {difference:.2g}, "
        f"tolerance {tolerance:.2g}.",
        style="green" if match["match"] else "bold red",
    )


def listing(
    columns: list[tuple[str, str]],
    items: list[dict[str, Any]],
    empty: str,
    width: int | None = None,
) -> Any:
    """A table of resources; `columns` are (heading, dotted path) pairs, the most wanted first.

    With a `width`, those at the end that it has no place for are left out: a table whose ids are
    cut is good for nothing.
    """
    if not items:
        return empty
    table = Table(*(heading for heading, _ in columns), box=box.SIMPLE_HEAD, pad_edge=False)
    for item in items:
        table.add_row(*(_cell(item, path) for _, path in columns))
    if width is not None and len(columns) > 1 and _WIDE.measure(table).maximum > width:
        return listing(columns[:-1], items, empty, width)
    return table


def _cell(item: dict[str, Any], path: str) -> str:
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return "-"
    if path.endswith("_bytes"):
        return bytes_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
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
        where = error.get("pointer") or error.get("parameter") or "the request"
        console.print(Text(f"  {where}: {error.get('detail', '')}"))
        if error.get("remedy"):
            console.print(Text(f"    {error['remedy']}", style="dim"))
    detail = found.get("detail")
    if detail and not errors and detail != title:
        console.print(Text(f"  {detail}"))
