"""Finding the units of a model: the smallest modules that a strategy treats as one.

Repeated blocks: what the model's library makes checkpointable, and the members of lists of modules
of one class. A block that holds much of the memory and has blocks inside gives way to those. What
stands outside of lists (embedding, head, a U-Net's stages) is a unit where it saves enough.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from torch import nn

from planner.errors import InvalidRequest
from planner.planning.calls import Call
from planner.simulation import phases_of_last_step
from planner.tape import Ints, Tape

LARGE_SHARE = 0.15
"""Of all saved bytes: a block with more gives way to the blocks inside it."""

SMALL_SHARE = 0.01
"""Of all saved bytes: a module outside of lists with less is not worth a choice."""

CHILD_SHARE = 0.10
"""Of a unit's saved bytes: a child with more is worth a choice of its own."""

_CONTAINERS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


@dataclass(frozen=True)
class Found:
    """A unit with its calls in one forward, in order.

    Attributes:
        children: paths below it, relative, of modules that hold much of what it saves.
        kind: equal for units whose calls make the same ops on the same layouts.
    """

    path: str
    module: nn.Module
    calls: tuple[Call, ...]
    children: tuple[str, ...]
    kind: str


def find_units(
    model: nn.Module, tape: Tape, calls: list[Call], patterns: list[str] | None
) -> list[Found]:
    """The units in the order of their first call.

    Args:
        calls: of the last forward traced.
        patterns: glob patterns of module paths, instead of the search.

    Raises:
        InvalidRequest: a pattern matches no module that is called and saves anything.
    """
    search = _Search(model, tape, calls)
    paths = search.automatic() if patterns is None else search.matching(patterns)
    found = [search.describe(path) for path in paths]
    return sorted(found, key=lambda unit: unit.calls[0].first_op)


class _Search:
    def __init__(self, model: nn.Module, tape: Tape, calls: list[Call]) -> None:
        self._modules = dict(model.named_modules())
        self._tape = tape
        self._calls: dict[str, list[Call]] = {}
        for call in calls:
            self._calls.setdefault(call.module, []).append(call)
        self._saved = saved_bytes_by_module(tape)
        self._total = max(self._saved.get("", 0), 1)
        self._with_blocks = self._with_blocks_inside()

    def automatic(self) -> list[str]:
        return [unit for path in self._children("") for unit in self._split(path, listed=False)]

    def matching(self, patterns: list[str]) -> list[str]:
        chosen: list[str] = []
        for index, pattern in enumerate(patterns):
            matching = [
                path for path in fnmatch.filter(self._calls, pattern) if path and self._share(path)
            ]
            if not matching:
                raise InvalidRequest.at(
                    f"/units/{index}",
                    f"{pattern!r} matches no module of the model that saves memory for backward",
                    f"paths look like {self._example()!r}",
                )
            chosen += matching
        outermost = sorted(set(chosen))
        return [p for p in outermost if not any(p.startswith(f"{q}.") for q in outermost)]

    def _example(self) -> str:
        automatic = self.automatic()
        return automatic[0] if automatic else next((path for path in self._calls if path), "")

    def _children(self, path: str) -> list[str]:
        module = self._modules[path]
        return [f"{path}.{name}".lstrip(".") for name, _ in module.named_children()]

    def _share(self, path: str) -> float:
        return self._saved.get(path, 0) / self._total

    def _split(self, path: str, listed: bool) -> list[str]:
        """The units at or below a path; `listed`: it is a member of a list of like modules."""
        below = [
            unit
            for child in self._children(path)
            for unit in self._split(child, self._is_list(path))
        ]
        if path not in self._calls:
            return below
        block = listed or self._is_block(path)
        gives_way = path in self._with_blocks and self._share(path) > LARGE_SHARE
        # Lists of a block's own layers (convolution, norm, activation) are too fine.
        if block and gives_way and any(self._is_composite(unit) for unit in below):
            return below
        if block:
            return [path] if self._share(path) else []
        if path in self._with_blocks:
            return below
        worth = self._share(path) >= SMALL_SHARE and self._modules[path]._modules
        return [path] if worth else []

    def _is_composite(self, path: str) -> bool:
        return any(child._modules for child in self._modules[path].children())

    def _is_block(self, path: str) -> bool:
        """One that the library can checkpoint, or that is called again and again."""
        module = self._modules[path]
        repeated = len(self._calls.get(path, ())) > 1 and bool(module._modules)
        return repeated or _is_checkpointable(module)

    def _is_list(self, path: str) -> bool:
        """A container of at least two blocks (modules with children) of one class."""
        module = self._modules[path]
        if not isinstance(module, _CONTAINERS):
            return False
        children = list(module.children())
        return (
            len(children) > 1
            and len({type(child) for child in children}) == 1
            and all(child._modules for child in children)
        )

    def _with_blocks_inside(self) -> set[str]:
        """Paths of modules that are, or hold, a list of blocks, or hold a checkpointable one."""
        found: set[str] = set()
        for path in self._modules:
            if self._is_list(path):
                found.add(path)
            if self._is_list(path) or self._is_block(path):
                parts = path.split(".")
                found |= {".".join(parts[:depth]) for depth in range(len(parts))}
        return found

    def describe(self, path: str) -> Found:
        calls = tuple(self._calls[path])
        kind = f"{type(self._modules[path]).__name__}:{self._signature(calls[0])}"
        return Found(path, self._modules[path], calls, self._worthy_children(path), kind)

    def _worthy_children(self, path: str) -> tuple[str, ...]:
        least = CHILD_SHARE * self._saved.get(path, 0)
        pending, found = self._children(path), []
        while pending:
            child = pending.pop(0)
            if self._saved.get(child, 0) < least or not self._modules[child]._modules:
                continue
            if child in self._calls and not isinstance(self._modules[child], _CONTAINERS):
                found.append(child.removeprefix(f"{path}."))
            else:
                pending += self._children(child)
        return tuple(found)

    def _signature(self, call: Call) -> str:
        """A digest of the call's ops and of the layouts of what they make."""
        tape = self._tape
        ops = slice(call.first_op, call.end_op)
        first, end = tape.op_outputs_at[call.first_op], tape.op_outputs_at[call.end_op]
        layouts = tape.tensor_layout[tape.op_outputs[first:end]]
        leaves = tuple(leaf.requires_grad for leaf in call.arguments if hasattr(leaf, "storage"))
        digest = hashlib.blake2b(tape.op_name[ops].tobytes() + layouts.tobytes(), digest_size=8)
        return digest.hexdigest() + str(leaves)


def _is_checkpointable(module: nn.Module) -> bool:
    """Whether transformers' own gradient checkpointing would take it for a unit."""
    return any(cls.__name__ == "GradientCheckpointingLayer" for cls in type(module).__mro__)


def saved_bytes_by_module(tape: Tape) -> Counter[str]:
    """Module path -> bytes that its ops (and those below it) leave alive for backward, in the last
    forward traced.
    """
    alive = _saved_storages(tape)
    modules = tape.op_module[tape.storage_op[alive]]
    sizes = np.bincount(modules, tape.storage_bytes[alive], len(tape.modules))
    totals: Counter[str] = Counter()
    for index, size in enumerate(sizes):
        parts = tape.modules[index].split(".") if tape.modules[index] else []
        for depth in range(len(parts) + 1):
            totals[".".join(parts[:depth])] += int(size)
    return totals


def _saved_storages(tape: Tape) -> Ints:
    forward = [i for i in phases_of_last_step(tape) if tape.phases[i].endswith("forward")][-1]
    alive = tape.alive_at(int(tape.phase_events[forward, 1]) - 1)
    ops = tape.storage_op[alive]
    saved: Ints = alive[(ops >= 0) & (tape.op_phase[ops] == forward)]
    return saved
