"""A strategy in a few words: equal choices of consecutive units collapsed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

_SHOWN_OPS = 3
_KEPT_PARTS = 2  # of a path, however long a beginning it shares with the others: `h.0`


@dataclass
class _Stretch:
    """Consecutive units with the same choice."""

    first: str
    last: str
    what: str


def summary(strategy: dict[str, Any]) -> list[str]:
    """One line a stretch of units treated alike, such as `h.0-h.7 recompute`, then the rest."""
    units = strategy.get("units") or []
    shared = _shared_beginning([unit["module"] for unit in units])
    stretches: list[_Stretch] = []
    before: Any = None
    for unit in units:
        name, what = _without(shared, unit["module"]), _what(unit)
        if unit.get("through"):
            last = _without(shared, unit["through"])
            stretches.append(_Stretch(name, last, f"{what} as one"))
        elif _alike(before, unit) and _follows(stretches[-1].last, name):
            stretches[-1].last = name
        else:
            stretches.append(_Stretch(name, name, what))
        before = unit
    lines = [
        f"{each.first if each.first == each.last else f'{each.first}-{each.last}'} {each.what}"
        for each in stretches
    ]
    return [*lines, *_whole(strategy)] or ["nothing is changed"]


def _alike(one: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    if one is None or one.get("through"):
        return False
    # What is saved is compared in full, though shown in short.
    return one["action"] == other["action"] and one.get("save") == other.get("save")


def _what(unit: dict[str, Any]) -> str:
    saved = unit.get("save") or []
    if not saved:
        return str(unit["action"])
    shown = ", ".join(saved) if len(saved) <= _SHOWN_OPS else f"{len(saved)} outputs"
    return f"{unit['action']}, {shown} saved"


def _whole(strategy: dict[str, Any]) -> list[str]:
    """Choices for the step as a whole."""
    optimizer = strategy.get("optimizer") or {}
    lines = {
        "every block recompute": strategy.get("checkpointing") == "full",
        f"{strategy.get('micro_batches')} micro-batches": strategy.get("micro_batches", 1) > 1,
        f"loss in {strategy.get('loss_chunks')} chunks": strategy.get("loss_chunks", 1) > 1,
        f"optimizer {optimizer.get('implementation')}": bool(optimizer.get("implementation")),
        "optimizer steps in backward": bool(optimizer.get("in_backward")),
        f"attention {strategy.get('attention')}": bool(strategy.get("attention")),
        f"precision {strategy.get('precision')}": bool(strategy.get("precision")),
        f"optimizer states {strategy.get('optimizer_states')}": bool(
            strategy.get("optimizer_states")
        ),
    }
    return [*(line for line, is_so in lines.items() if is_so), *_compression(strategy)]


def _compression(strategy: dict[str, Any]) -> list[str]:
    """A line for each choice: its kind, and what else it says."""
    return [
        ", ".join(
            [
                choice["kind"].replace("_", " "),
                *(f"{name} {value}" for name, value in choice.items() if _is_said(name, value)),
            ]
        )
        for choice in strategy.get("compression") or []
    ]


def _is_said(name: str, value: Any) -> bool:
    return name != "kind" and value is not None


def _shared_beginning(paths: list[str]) -> int:
    """How many parts all paths begin with and can do without."""
    parts = [path.split(".") for path in paths]
    equal = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))
    spare = min((len(path) for path in parts), default=0) - _KEPT_PARTS
    return max(0, min(len(list(equal)), spare))


def _without(count: int, path: str) -> str:
    return ".".join(path.split(".")[count:])


def _follows(one: str, other: str) -> bool:
    """Whether the second path is the first with its last number counted up."""
    before, _, number = one.rpartition(".")
    beginning, _, next_ = other.rpartition(".")
    return (
        before == beginning
        and number.isdecimal()
        and next_.isdecimal()
        and int(next_) == int(number) + 1
    )
