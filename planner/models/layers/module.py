"""A graph as a `torch.nn.Module`, executed as hand-written nested modules are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from planner.models.layers.ops import tensors_of
from planner.models.layers.wiring import Value


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        call: a module or a function of tensors by position.
        gives: values that others use, by number among the call's outputs.
        last: values that nobody uses afterwards.
    """

    name: str
    call: Callable[..., Any]
    takes: tuple[Value, ...]
    gives: tuple[tuple[int, Value], ...]
    last: tuple[Value, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def run(self, held: dict[Value, Tensor]) -> None:
        """Add what the call gives to the values held, and drop what was used last."""
        results = tensors_of(self.call(*[held[value] for value in self.takes], **self.keywords))
        for value in self.last:
            del held[value]
        for index, value in self.gives:
            tensor = results[index]
            assert tensor is not None, f"{self.name} has no output {index}"
            held[value] = tensor


class Block(nn.Module):
    """Part of a graph that is called as one module.

    A value is let go after its last use; what the block was called with lives as long as the call,
    as arguments of any module do.
    """

    def __init__(self, takes: Sequence[Value], gives: Sequence[Value]) -> None:
        super().__init__()
        self._takes = tuple(takes)
        self._gives = tuple(gives)
        self._steps: list[Step] = []

    def set_steps(self, steps: list[Step]) -> None:
        """Give it what it does; modules among the steps are its own or another block's."""
        self._steps = steps

    def forward(self, *values: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One tensor, or one for each of several values given."""
        held = dict(zip(self._takes, values, strict=True))
        for step in self._steps:
            step.run(held)
        given = tuple(held[value] for value in self._gives)
        return given[0] if len(given) == 1 else given


class LayersNetwork(Block):
    """The whole graph. In training its forward is the loss, otherwise the outputs."""

    def __init__(self, inputs: Sequence[str], outputs: Sequence[Value], loss: str) -> None:
        super().__init__([Value(name) for name in inputs], outputs)
        self._loss = loss

    def forward(  # type: ignore[override]
        self, *, labels: Sequence[Tensor] = (), **inputs: Tensor
    ) -> Tensor | tuple[Tensor, ...]:
        """Keyword arguments are the description's inputs; labels, one for each output."""
        outputs = super().forward(*[inputs[value.source] for value in self._takes])
        if not self.training:
            return outputs
        each = outputs if isinstance(outputs, tuple) else (outputs,)
        return total_loss(self._loss, each, labels)


def total_loss(name: str, outputs: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
    """The sum of the outputs' losses."""
    if name == "mean":
        losses = [output.mean() for output in outputs]
    else:
        function = F.cross_entropy if name == "cross_entropy" else F.mse_loss
        losses = [function(*pair) for pair in zip(outputs, labels, strict=True)]
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return total
