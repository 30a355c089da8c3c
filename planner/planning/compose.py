"""From a traced step and measured options to the solver's problem, and from its solution back.

Levels come from the baseline's tape: what is alive at a point, less what the units before it save
and what the unit itself takes there. So the problem's peak with everything kept is the baseline's
own, and the solver's arithmetic is exact as far as a unit holds in the whole what it held alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from planner.planning.calls import TensorSpec
from planner.planning.lab import ROOT
from planner.planning.options import NONE, Options
from planner.planning.units import Found
from planner.planning.windows import Places, Windows, read_windows
from planner.quantities import format_bytes
from planner.solve.problem import (
    Choice,
    Chosen,
    Gap,
    Option,
    Problem,
    Segment,
    Unit,
    levels,
    peak_bytes,
)
from planner.strategy import UnitChoice
from planner.tape import Tape


@dataclass(frozen=True)
class Composition:
    """A problem, and what its units and options stand for.

    Attributes:
        found: for each unit of the problem, the module; options: likewise.
        places: where to look for the units on a tape.
    """

    problem: Problem
    found: tuple[Found, ...]
    options: tuple[Options, ...]
    places: Places


def compose(
    tape: Tape, found: list[Found], by_kind: dict[str, Options], micro_batches: int = 1
) -> Composition:
    """The problem of a traced step, whose units run `micro_batches` times in a whole one."""
    calls = sorted(
        ((call.first_op, call, unit) for unit in found for call in unit.calls),
        key=lambda entry: entry[0],
    )
    units = [unit for _, _, unit in calls]
    options = [by_kind.get(unit.kind, NONE) for unit in units]
    places = Places(tuple(unit.path for unit in units))
    windows = read_windows(tape, places)
    saved = np.array([each.options[0].saved_bytes for each in options], dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(saved)]).astype(np.int64)
    repeated = Counter(unit.path for unit in units)
    chain = []
    for index, (unit, each) in enumerate(zip(units, options, strict=True)):
        keep = each.options[0]
        chain.append(
            Unit(
                name=unit.path if repeated[unit.path] == 1 else f"{unit.path}@{index}",
                kind=unit.kind,
                options=tuple(_repeated(option, micro_batches) for option in each.options),
                forward_level_bytes=int(windows.forward[index] - before[index])
                - keep.forward_bytes,
                backward_level_bytes=int(windows.backward[index] - before[index])
                - keep.backward_bytes,
                input_bytes=calls[index][1].input_bytes,
                forward_seconds=each.keep.forward_seconds * micro_batches if each.keep else 0.0,
                forward_flops=each.keep.forward_flops * micro_batches if each.keep else 0,
                transient_bytes=each.nothing_saved.forward_bytes if each.nothing_saved else 0,
                shares=places.distinct.index(unit.path) if repeated[unit.path] > 1 else None,
            )
        )
    gaps = tuple(
        Gap(name, after, level - int(before[after]))
        for name, (level, after) in windows.gaps.items()
    )
    aside = _take_aside(units)
    joins = tuple(
        _hands_over(units[i], units[i + 1], repeated, options[i : i + 2])
        and not aside & {units[i].path, units[i + 1].path}
        for i in range(len(units) - 1)
    )
    problem = Problem(tuple(chain), gaps, joins)
    return Composition(problem, tuple(units), tuple(options), places)


def _repeated(option: Option, times: int) -> Option:
    return replace(option, seconds=option.seconds * times, flops=option.flops * times)


def _hands_over(one: Found, other: Found, repeated: Counter[str], options: list[Options]) -> bool:
    """Whether two units may be recomputed as one: neighbours, the second fed by the first alone."""
    same_parent = one.path.rpartition(".")[0] == other.path.rpartition(".")[0]
    once = repeated[one.path] == repeated[other.path] == 1
    first, second = one.calls[0], other.calls[0]
    fed = first.gives is not None and first.gives == second.takes
    recomputable = all(each.nothing_saved is not None for each in options)
    return same_parent and once and fed and recomputable and "." in one.path


def _take_aside(units: list[Found]) -> set[str]:
    """Paths of units given a tensor of their own beside the first: a U-Net's skip, say.

    A segment would hold those of all its units, which the solver's segments do not know. (What
    several units are given, such as a mask, is held anyway.)
    """
    calls = [(unit.path, call.arguments) for unit in units for call in unit.calls]
    given = [
        (path, [leaf.storage for leaf in leaves if isinstance(leaf, TensorSpec)])
        for path, leaves in calls
    ]
    takers = Counter(storage for _, storages in given for storage in set(storages))
    return {path for path, storages in given if any(takers[each] == 1 for each in storages[1:])}


def unit_choices(composition: Composition, choices: tuple[Choice, ...]) -> list[UnitChoice]:
    """The choices as a strategy has them, with a reason each."""
    found: dict[tuple[str, str | None], UnitChoice] = {}
    for choice in choices:
        for each in _choices(composition, choice):
            found.setdefault((each.module, each.through), each)
    return list(found.values())


def _choices(composition: Composition, choice: Choice) -> list[UnitChoice]:
    if isinstance(choice, Segment):
        units = composition.problem.units[choice.first : choice.last + 1]
        freed = sum(unit.options[0].saved_bytes for unit in units) - units[0].input_bytes
        seconds = sum(unit.forward_seconds for unit in units)
        segment = UnitChoice(
            module=composition.found[choice.first].path,
            through=composition.found[choice.last].path,
            action="recompute",
            reason=f"one input for {len(units)} units: {_price(freed, seconds)}",
        )
        inner = [each for inside in choice.inside for each in _choices(composition, inside)]
        return [segment, *inner]
    unit = composition.problem.units[choice.unit]
    option, path = unit.options[choice.option], composition.found[choice.unit].path
    reason = f"{option.label}: {_reason(unit, choice.option)}"
    recipe = composition.options[choice.unit].recipes[choice.option]
    return [
        each.model_copy(update={"module": _placed(each.module, path), "reason": reason})
        for each in recipe
    ]


def _placed(module: str, path: str) -> str:
    """A path that begins with `lab.ROOT` as one in the model."""
    return path + module.removeprefix(ROOT)


def _reason(unit: Unit, number: int) -> str:
    option = unit.options[number]
    freed = unit.options[0].saved_bytes - option.saved_bytes
    return _price(freed, option.seconds)


def _price(freed: int, seconds: float) -> str:
    return f"{format_bytes(freed)} for {seconds * 1e3:.3g} ms"


def everything_recomputed(composition: Composition) -> tuple[Choice, ...]:
    """What training with gradient checkpointing usually means: every unit that can be recomputed
    whole, the others as they are.
    """
    whole = (UnitChoice(module=ROOT, action="recompute"),)
    return tuple(
        Chosen(index, each.recipes.index(whole) if whole in each.recipes else 0)
        for index, each in enumerate(composition.options)
    )


def learn(
    composition: Composition, choices: tuple[Choice, ...], windows: Windows, certified_bytes: int
) -> Composition:
    """The composition with levels moved to where a certified step really was.

    Where it was higher, the unit's levels rise, so every option of it is expected to hold more;
    where it was lower, only the option that was taken is expected to hold less: what is outside of
    a unit need not be there all the time, and another option may peak at another moment.

    Units inside segments have no windows of their own; where they explain the difference, all
    levels of backward rise by what is left of it.
    """
    problem = composition.problem
    estimated: dict[str, int] = {}
    for name, level in levels(problem, choices):
        estimated[name] = max(estimated.get(name, 0), level)
    taken = {choice.unit: choice.option for choice in choices if isinstance(choice, Chosen)}

    def missing(name: str, seen: int) -> int:
        return int(seen) - estimated[name]

    units = tuple(
        _moved(
            unit,
            taken[index],
            missing(f"{unit.name}.forward", windows.forward[index]),
            missing(f"{unit.name}.backward", windows.backward[index]),
        )
        if index in taken
        else unit
        for index, unit in enumerate(problem.units)
    )
    gaps = tuple(
        replace(
            gap,
            level_bytes=gap.level_bytes
            + missing(gap.name, windows.gaps.get(gap.name, (estimated[gap.name], 0))[0]),
        )
        for gap in problem.gaps
    )
    learned = replace(problem, units=units, gaps=gaps)
    rest = certified_bytes - peak_bytes(learned, choices)
    if rest > 0:
        units = tuple(_raised(unit, rest, rest) for unit in learned.units)
        learned = replace(learned, units=units)
    return replace(composition, problem=learned)


def _moved(unit: Unit, taken: int, forward: int, backward: int) -> Unit:
    unit = _raised(unit, max(forward, 0), max(backward, 0))
    if taken == 0 or min(forward, backward) >= 0:
        return unit
    option = unit.options[taken]
    lower = replace(
        option,
        forward_bytes=option.forward_bytes + min(forward, 0),
        backward_bytes=max(option.backward_bytes + min(backward, 0), option.saved_bytes),
    )
    options = (*unit.options[:taken], lower, *unit.options[taken + 1 :])
    return replace(unit, kind=f"{unit.kind}, learnt of {unit.name}", options=options)


def _raised(unit: Unit, forward: int, backward: int) -> Unit:
    return replace(
        unit,
        forward_level_bytes=unit.forward_level_bytes + forward,
        backward_level_bytes=unit.backward_level_bytes + backward,
    )
