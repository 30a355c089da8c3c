"""A plan as people see it."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.render import bytes_text, headed
from app.cli.strategy_text import summary


def plan(found: dict[str, Any]) -> RenderableType:
    """A plan's answer: baseline, budget and planned peak, the strategy, and the frontier."""
    parts: list[RenderableType] = [_headline(found), *_solved(found), _peaks(found)]
    if found["feasible"]:
        parts += [Text("Strategy", style="italic"), *_strategy(found["strategy"]), ""]
    else:
        parts += [*_infeasible(found["infeasible"]), ""]
    if found["frontier"]:
        parts.append(_frontier(found))
    parts += [Text(f"Note: {note}", style="yellow") for note in found.get("limitations") or []]
    return Group(*parts)


def point(found: dict[str, Any]) -> str:
    """One point of the frontier, as the progress of a plan has it."""
    return (
        f"{bytes_text(found['peak_bytes']):>12} at {found['step_seconds_ratio']:.3f} times the "
        f"time, {found['recompute_flops_ratio']:.3f} times the FLOPs"
    )


def _headline(found: dict[str, Any]) -> Text:
    budget = bytes_text(found["budget_bytes"])
    if not found["feasible"]:
        smallest = bytes_text(found["infeasible"]["smallest_budget_bytes"])
        return Text.assemble(("Nothing fits ", "bold red"), f"{budget}: {smallest} is needed")
    peak = found["prediction"]["peak_bytes"]
    return Text.assemble(
        ("Planned peak ", "bold"),
        (bytes_text(peak), "bold green"),
        f"  ({peak:,} bytes), {bytes_text(found['budget_bytes'] - peak)} under {budget}",
    )


def _solved(found: dict[str, Any]) -> list[str]:
    solved = found.get("solved")
    if solved is None:
        return []
    name, value, beyond = solved["field"].replace("_", " "), solved["value"], solved["too_large"]
    tried = "" if beyond is None else f"; {beyond} does not"
    return [f"The {name} that fits: {value}{tried}"]


def _peaks(found: dict[str, Any]) -> Table:
    table = headed("Certified by simulation", "Step", "Peak", "FLOPs", "Time")
    baseline, overhead = found["baseline"], found.get("overhead")
    table.add_row("baseline", bytes_text(baseline["peak_bytes"]), "1.000 x", "1.000 x")
    if found["prediction"] is not None and overhead is not None:
        peak = bytes_text(found["prediction"]["peak_bytes"])
        table.add_row("planned", peak, *_ratios(overhead), style="bold")
    table.add_row("budget", bytes_text(found["budget_bytes"]), "", "", style="dim")
    return table


def _ratios(overhead: dict[str, Any]) -> list[str]:
    return [f"{overhead[name]:.3f} x" for name in ("recompute_flops_ratio", "step_seconds_ratio")]


def _strategy(strategy: dict[str, Any]) -> list[str]:
    return [f"  {line}" for line in summary(strategy)]


def _infeasible(why: dict[str, Any]) -> list[RenderableType]:
    lines: list[RenderableType] = [
        f"The smallest peak found is {why['smallest_budget_bytes']:,} bytes, in {why['phase']}, by",
        *_strategy(why["smallest_strategy"]),
        "What holds it:",
        *(Text(f"  {holder}") for holder in why["held_by"]),
    ]
    if why["remedies"]:
        lines += ["What would make it fit:", *(Text(f"  {each}") for each in why["remedies"])]
    return lines


def _frontier(found: dict[str, Any]) -> Table:
    table = headed("Frontier", "Peak", "FLOPs", "Time", "Strategy")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    budget = found["budget_bytes"]
    for each in found["frontier"]:
        table.add_row(
            bytes_text(each["peak_bytes"]),
            *_ratios(each["overhead"]),
            "; ".join(summary(each["strategy"])),
            style="" if each["peak_bytes"] <= budget else "dim",
        )
    return table
