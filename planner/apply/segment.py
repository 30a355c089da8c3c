"""Consecutive modules recomputed as one, although the model's own code calls them one by one.

`torch.utils.checkpoint` wraps one call. Its generator form (the one that FSDP2's composable
`checkpoint` is built on) can be entered when the first module is called and left when the last one
returns; in backward the modules are then run again as a chain, each on the output of the one
before, with the other arguments that it was called with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import _checkpoint_without_reentrant_generator

from planner.apply import wrapping
from planner.apply.statistics import untracked
from planner.apply.wrapping import Forward
from planner.errors import StrategyMismatch


@dataclass
class _Call:
    """One pass through a segment: what its modules were called with after their first argument."""

    checkpoint: Iterator[None]
    arguments: list[tuple[Any, Any]]
    handed_over: Any = None  # the last module's output, until the next one takes it


@dataclass(eq=False)
class Segment:
    """A wrapper shared by consecutive modules."""

    names: list[str]
    modules: list[nn.Module]
    _open: _Call | None = field(default=None, repr=False)

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """Begin, continue or end the segment, as the module's place in it says."""
        place = next(i for i, member in enumerate(self.modules) if member is module)
        call = self._begin(args, kwargs) if place == 0 else self._continue(place, args, kwargs)
        try:
            output = forward(*args, **kwargs)
        except BaseException:
            self._abandon()
            raise
        if place == len(self.modules) - 1:
            self._open = None
            next(call.checkpoint, None)
        else:
            call.handed_over = output
        return output

    def _begin(self, args: Any, kwargs: Any) -> _Call:
        self._abandon()
        self._require_input(0, args)
        arguments = [(args[1:], kwargs)]
        contexts = (nullcontext(), untracked(self.modules))
        checkpoint = _checkpoint_without_reentrant_generator(
            _Chain(self, arguments),
            True,  # preserve_rng_state
            lambda: contexts,
            "default",  # determinism_check
            False,  # debug
            True,  # early_stop
            args[0],
        )
        next(checkpoint)
        self._open = _Call(checkpoint, arguments)
        return self._open

    def _continue(self, place: int, args: Any, kwargs: Any) -> _Call:
        call = self._open
        self._require_input(place, args)
        if (
            call is None
            or len(call.arguments) != place
            or hidden_state(call.handed_over) is not args[0]
        ):
            self._abandon()
            raise StrategyMismatch(
                f"{self.names[place]} does not take the output of {self.names[place - 1]} as its "
                "first argument, so the two cannot be recomputed as one segment"
            )
        call.handed_over = None
        call.arguments.append((args[1:], kwargs))
        return call

    def _require_input(self, place: int, args: Any) -> None:
        if not args or not isinstance(args[0], Tensor):
            raise StrategyMismatch(
                f"{self.names[place]} is not called with a tensor as its first argument, so it "
                "cannot be part of a segment"
            )

    def _abandon(self) -> None:
        """Leave the checkpoint's contexts after a forward that did not reach the segment's end."""
        if self._open is not None:
            call, self._open = self._open, None
            call.checkpoint.close()  # type: ignore[attr-defined]


@dataclass(eq=False)
class _Chain:
    """The segment's forward as one function of its first input."""

    segment: Segment
    arguments: list[tuple[Any, Any]]

    def __call__(self, value: Any) -> Any:
        for module, (args, kwargs) in zip(self.segment.modules, self.arguments, strict=True):
            forward = wrapping.inside(module, self.segment)
            value = forward(hidden_state(value), *args, **kwargs)
        return value


def hidden_state(output: Any) -> Any:
    """What a module hands on: its output, or the first of several."""
    return output[0] if isinstance(output, tuple) and output else output
