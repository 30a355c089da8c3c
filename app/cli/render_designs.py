"""A design search as people see it."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.axes import axis_names
from app.cli.render import bytes_text, headed

Design = dict[str, Any]

_METRICS = {
    "peak_bytes": "Peak",
    "step_seconds": "Step",
    "cost": "Cost",
    "score": "Score",
    "parameter_count": "Parameters",
}
_MARK = "~"


def design_search(found: dict[str, Any], top: int) -> RenderableType:
    """The best designs, or where none is feasible those that were tried and why they are not."""
    request = found["request"]
    objective = request["objective"]
    names = axis_names([axis["pointer"] for axis in request["vary"]])
    feasible = _ranked([each for each in found["designs"] if each["feasible"]], objective)
    infeasible = [each for each in found["designs"] if not each["feasible"]]
    parts: list[RenderableType] = [_headline(found, objective, names), _counts(found), ""]
    if feasible:
        parts.append(_best(feasible[:top], names, objective))
    elif infeasible:
        parts.append(_refused(infeasible[:top], names))
    parts += [*_by_chance(found, objective), *_untried(found, objective, names)]
    if any(_extrapolated(each) for each in [*feasible[:top], *found["untried"]]):
        parts.append(Text(f"{_MARK} beyond what the designs known by then span", style="dim"))
    parts += [Text(f"Note: {note}", style="yellow") for note in found.get("limitations") or []]
    return Group(*parts)


def value_text(metric: str, value: float | None) -> str:
    """A metric as people read it; nothing known is a dash."""
    if value is None:
        return "-"
    if metric == "peak_bytes":
        return bytes_text(round(value))
    if metric == "step_seconds":
        return f"{value * 1000:,.4g} ms"
    return f"{value:,}" if metric == "parameter_count" else f"{value:,.4g}"


def _ranked(designs: list[Design], objective: str) -> list[Design]:
    """The best first; as many of the score as can be, as little as can be of all else."""
    sign = -1 if objective == "score" else 1
    return sorted(designs, key=lambda each: sign * each["metrics"][objective])


def _headline(found: dict[str, Any], objective: str, names: dict[str, str]) -> Text:
    best = found.get("best")
    words = _METRICS[objective].lower()
    if best is None:
        return Text.assemble(("No design simulated is feasible ", "bold red"), f"({words})")
    return Text.assemble(
        (f"Best {words} ", "bold"),
        (value_text(objective, found["best_value"]), "bold green"),
        f"  with {_chosen(best['choices'], names)}",
    )


def _chosen(choices: dict[str, Any], names: dict[str, str]) -> str:
    return ", ".join(f"{names[pointer]} {_plain(value)}" for pointer, value in choices.items())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _values(design: Design, names: dict[str, str]) -> list[Text]:
    return [Text(_plain(design["choices"][pointer])) for pointer in names]


def _counts(found: dict[str, Any]) -> str:
    infeasible = sum(not each["feasible"] and bool(each["metrics"]) for each in found["designs"])
    counts = [f"{found['evaluations']} of {found['space_size']} designs simulated"]
    if found["stored"]:
        counts.append(f"{found['stored']} more known from the store")
    if found["refused"]:
        counts.append(f"{found['refused']} cannot be built")
    if infeasible:
        counts.append(f"{infeasible} beyond a limit")
    return "; ".join(counts)


def _best(designs: list[Design], names: dict[str, str], objective: str) -> Table:
    shown = [*dict.fromkeys((objective, "peak_bytes", "step_seconds", "score", "parameter_count"))]
    table = _by_axes("The best designs", names, *(_METRICS[name] for name in shown), "")
    for number, each in enumerate(designs):
        table.add_row(
            *_values(each, names),
            *(value_text(name, each["metrics"][name]) for name in shown),
            _MARK if _extrapolated(each) else "",
            style="bold green" if number == 0 else "",
        )
    return table


def _by_axes(title: str, names: dict[str, str], *headings: str) -> Table:
    """An empty table of designs: a column for each axis, whose names may take several lines."""
    table = headed(title, *names.values(), *headings)
    for column, name in zip(table.columns, names.values(), strict=False):
        column.no_wrap = False
        column.min_width = max(map(len, name.split()))
    return table


def _extrapolated(design: Design) -> bool:
    return bool((design.get("expected") or {}).get("extrapolated"))


def _refused(designs: list[Design], names: dict[str, str]) -> Table:
    table = _by_axes("Designs that were tried", names, "Why not")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    for each in designs:
        table.add_row(*_values(each, names), Text("; ".join(each["violations"]), style="red"))
    return table


def _by_chance(found: dict[str, Any], objective: str) -> list[str]:
    """What random search would have found, which is what this one has to beat."""
    chance = found["random_search"]
    if chance["expected_value"] is None:
        return []
    value = value_text(objective, chance["expected_value"])
    basis = "" if chance["basis"] == "simulated" else ", as far as is expected of the others"
    regret, drawn = chance["regret"], chance["evaluations"]
    # Better than what was found, where designs that were not simulated are expected to be so.
    worse = f", {abs(regret):.1%} {'worse' if regret >= 0 else 'better'}" if regret else ""
    return [f"Drawing {drawn} designs at random would find {value} in expectation{worse}{basis}."]


def _untried(found: dict[str, Any], objective: str, names: dict[str, str]) -> list[RenderableType]:
    if not found["untried"]:
        return []
    table = _by_axes("Not simulated, the most promising", names, "Expected", "At worst", "")
    for each in found["untried"]:
        expected = each["expected"]
        table.add_row(
            *_values(each, names),
            value_text(objective, expected["value"]),
            value_text(objective, expected["pessimistic"]),
            _MARK if expected["extrapolated"] else "",
        )
    return ["", table]
