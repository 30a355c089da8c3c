"""Everything that one kind of unit may do, measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from planner.planning.lab import ROOT, Lab, Measured, Recipe
from planner.planning.selection import candidates, save_sets
from planner.planning.units import Found
from planner.solve.problem import Option
from planner.strategy import UnitChoice
from planner.trace import Tracer

MAX_CHILDREN = 3
"""Children of a unit that get choices of their own: those that hold most."""


@dataclass(frozen=True)
class Options:
    """The options of a kind, none of which is worse than another in every respect.

    Attributes:
        recipes: for each option, what `planner.apply` is told; the first keeps everything.
        nothing_saved: the unit recomputed whole; None where only keeping is possible.
        problem: why the unit has no options, in words.
    """

    options: tuple[Option, ...]
    recipes: tuple[Recipe, ...]
    keep: Measured | None = None
    nothing_saved: Measured | None = None
    problem: str | None = None


NONE = Options((Option("keep", 0.0, 0, 0, 0),), ((),))


def measure_options(lab: Lab, tracer: Tracer, unit: Found, allowed: frozenset[str]) -> Options:
    """Measure the unit's options that the techniques allow."""
    try:
        keep = lab.measure(())
    except Exception as error:  # the unit's own code, called out of its context
        why = f"{unit.path} cannot be run alone: {type(error).__name__}: {str(error)[:200]}"
        return Options(NONE.options, NONE.recipes, problem=why)
    found: list[tuple[str, Recipe, Measured]] = [("keep", (), keep)]
    whole: Measured | None = None
    if allowed & {"checkpointing", "selective", "segments"}:
        whole = _try(lab, _recompute(ROOT))
    if whole is not None and "checkpointing" in allowed:
        found.append(("recompute", _recompute(ROOT), whole))
        for label, recipe in _nested(unit.children[:MAX_CHILDREN]):
            measured = _try(lab, recipe)
            if measured is not None:
                found.append((label, recipe, measured))
    if whole is not None and "selective" in allowed:
        found += _selective(lab, tracer, unit)
    kept = _pareto(found)
    return Options(
        tuple(_option(label, measured) for label, _, measured in kept),
        tuple(recipe for _, recipe, _ in kept),
        keep,
        whole,
    )


def _try(lab: Lab, recipe: Recipe) -> Measured | None:
    """None where the unit does not work under the choices (its code is not pure, say)."""
    try:
        return lab.measure(recipe)
    except Exception:
        return None


def _recompute(*paths: str) -> Recipe:
    return tuple(UnitChoice(module=path, action="recompute") for path in paths)


def _nested(children: tuple[str, ...]) -> Iterator[tuple[str, Recipe]]:
    """Children recomputed, alone and inside of a unit that is recomputed itself."""
    for count in range(1, len(children) + 1):
        for chosen in itertools.combinations(children, count):
            paths = [f"{ROOT}.{child}" for child in chosen]
            names = "+".join(chosen)
            yield f"recompute {names}", _recompute(*paths)
            yield f"recompute, inside {names}", _recompute(ROOT, *paths)


def _selective(lab: Lab, tracer: Tracer, unit: Found) -> list[tuple[str, Recipe, Measured]]:
    seen = lab.spy()
    if seen is None:
        return []
    spy, tape = seen
    found: list[tuple[str, Recipe, Measured]] = []
    for save in save_sets(candidates(spy, tape, tracer.device, unit.module)):
        choice = UnitChoice(module=ROOT, action="selective", save=list(save))
        measured = _try(lab, (choice,))
        if measured is not None:
            found.append((f"selective, {len(save)} saved", (choice,), measured))
    return found


def _option(label: str, measured: Measured) -> Option:
    return Option(
        label,
        measured.seconds,
        measured.saved_bytes,
        measured.forward_bytes,
        measured.backward_bytes,
        measured.flops,
    )


def _pareto(
    found: list[tuple[str, Recipe, Measured]],
) -> list[tuple[str, Recipe, Measured]]:
    """Without those that cost no less time and hold no fewer bytes anywhere than another."""
    kept = [found[0]]  # keeping everything is always possible, and comes first
    ranked = sorted(found[1:], key=lambda e: (e[2].seconds, e[2].saved_bytes, len(e[1])))
    for entry in ranked:
        if not any(_dominates(other[2], entry[2]) for other in kept):
            kept.append(entry)
    return kept


def _dominates(one: Measured, other: Measured) -> bool:
    return (
        one.seconds <= other.seconds
        and one.saved_bytes <= other.saved_bytes
        and one.forward_bytes <= other.forward_bytes
        and one.backward_bytes <= other.backward_bytes
    )
