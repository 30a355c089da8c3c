"""Head and cross-entropy in parts, so that the logits are never whole.

The logits of a language model (tokens x vocabulary) and the loss's copies of them are often the
largest tensors of a step. Here the head answers with a promise of logits; the cross-entropy that
is asked of it computes them for some rows at a time, under `torch.utils.checkpoint`, so backward
makes them again (the head's forward once more). The loss is the same up to the order of summation.

Limitation: between head and loss only functions that work on each number by itself, reshaping to
rows of logits, and shifting along the sequence may stand; anything else raises `StrategyMismatch`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from planner.apply.wrapping import Forward
from planner.errors import StrategyMismatch

Step = Callable[[Tensor], Tensor]
Number = int | float


@dataclass(frozen=True)
class ChunkedHead:
    """Wrapper of the linear layer that makes the logits."""

    chunks: int

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """Promise the logits."""
        weight: Tensor = module.weight  # type: ignore[assignment]
        return PromisedLogits(forward, args[0], weight.shape[0], self.chunks)


@dataclass(frozen=True, eq=False)
class PromisedLogits:
    """Logits [..., vocabulary] that are not computed yet.

    Attributes:
        head: makes logits of hidden states [..., width].
        steps: what was done to the logits since, number by number.
    """

    head: Forward
    hidden: Tensor
    vocabulary: int
    chunks: int
    steps: tuple[Step, ...] = ()

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Cross-entropy is computed in parts; functions of single numbers are put off."""
        kwargs = kwargs or {}
        if func is F.cross_entropy:
            return _cross_entropy(*args, **kwargs)
        if func in _POINTWISE and args and isinstance(args[0], cls):
            return args[0]._then(lambda logits: func(logits, *args[1:], **kwargs))
        name = getattr(func, "__name__", str(func))
        raise StrategyMismatch(f"the loss cannot be computed in parts: {name} needs whole logits")

    @property
    def shape(self) -> torch.Size:
        """As of the logits."""
        return torch.Size((*self.hidden.shape[:-1], self.vocabulary))

    @property
    def device(self) -> torch.device:
        """As of the logits."""
        return self.hidden.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the hidden states: what the head makes of them under autocast may differ."""
        return self.hidden.dtype

    def size(self, dim: int | None = None) -> Any:
        """As `Tensor.size`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """As `Tensor.dim`."""
        return self.hidden.dim()

    def float(self) -> PromisedLogits:
        """As `Tensor.float`."""
        return self._then(Tensor.float)

    def to(self, *args: Any, **kwargs: Any) -> PromisedLogits:
        """As `Tensor.to`."""
        return self._then(lambda logits: logits.to(*args, **kwargs))

    def contiguous(self) -> PromisedLogits:
        """As `Tensor.contiguous`."""
        return self

    def __mul__(self, other: Number) -> PromisedLogits:
        return self._then(lambda logits: logits * other)

    def __truediv__(self, other: Number) -> PromisedLogits:
        return self._then(lambda logits: logits / other)

    def view(self, *shape: Any) -> PromisedLogits:
        """Rows of logits: any shape that leaves the last dimension as it is."""
        wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
        last = wanted[-1] if wanted else None
        if last != self.vocabulary and not (last == -1 and self._fits(wanted[:-1])):
            raise StrategyMismatch("the loss cannot be computed in parts: the logits are reshaped")
        return replace(self, hidden=self.hidden.reshape(*wanted[:-1], self.hidden.shape[-1]))

    reshape = view

    def _fits(self, leading: tuple[int, ...]) -> bool:
        return math.prod(leading) == math.prod(self.hidden.shape[:-1])

    def flatten(self, start: int = 0, end: int = -1) -> PromisedLogits:
        """As `Tensor.flatten`, over leading dimensions."""
        if end % self.dim() == self.dim() - 1:
            raise StrategyMismatch("the loss cannot be computed in parts: the logits are reshaped")
        return replace(self, hidden=self.hidden.flatten(start, end))

    def __getitem__(self, index: Any) -> PromisedLogits:
        places = index if isinstance(index, tuple) else (index,)
        has_rest = any(place is Ellipsis for place in places)
        reaches_last = has_rest or sum(map(_dimensions, places)) >= self.dim()
        last = places[-1] if places else Ellipsis
        whole = last is Ellipsis or (isinstance(last, slice) and last == slice(None))
        if reaches_last and not whole:
            raise StrategyMismatch("the loss cannot be computed in parts: logits are selected")
        return replace(self, hidden=self.hidden[index])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise StrategyMismatch(
            f"the logits are computed in parts within the loss and have no {name!r} outside of it"
        )

    def _then(self, step: Step) -> PromisedLogits:
        return replace(self, steps=(*self.steps, step))

    def of(self, hidden: Tensor) -> Tensor:
        """The logits of some hidden states [rows, width], as they reach the loss."""
        logits: Tensor = self.head(hidden)
        for step in self.steps:
            logits = step(logits)
        return logits


def _dimensions(place: Any) -> int:
    """How many dimensions a part of an index stands for."""
    if place is None or place is Ellipsis:
        return 0
    return place.dim() if isinstance(place, Tensor) and place.dtype == torch.bool else 1


_POINTWISE = frozenset(
    {
        torch.tanh, Tensor.tanh, torch.mul, Tensor.mul, torch.div, Tensor.div, Tensor.float,
        Tensor.to, torch.clamp, Tensor.clamp,
    }
)  # fmt: skip


def _cross_entropy(
    input: PromisedLogits,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`torch.nn.functional.cross_entropy` of logits [rows, vocabulary] with class indices."""
    if weight is not None or label_smoothing or reduction not in ("mean", "sum"):
        raise StrategyMismatch(
            "the loss cannot be computed in parts: it has weights, smoothing or no reduction"
        )
    if input.dim() != 2 or target.dim() != 1:
        raise StrategyMismatch("the loss cannot be computed in parts: logits are no rows")
    rows = -(-input.hidden.shape[0] // input.chunks)

    def part(hidden: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(input.of(hidden), labels, ignore_index=ignore_index, reduction="sum")

    parts = zip(torch.split(input.hidden, rows), torch.split(target, rows), strict=True)
    total = sum(checkpoint(part, *each, use_reentrant=False) for each in parts)
    assert isinstance(total, Tensor)
    return total / (target != ignore_index).sum() if reduction == "mean" else total


def find_head(model: nn.Module) -> str | None:
    """Path of the layer that makes the logits, as the model says, or the one linear child that is
    called a head.
    """
    embeddings = getattr(model, "get_output_embeddings", None)
    head = embeddings() if callable(embeddings) else None
    for name, module in model.named_modules():
        named_so = isinstance(module, nn.Linear) and name.rpartition(".")[2] in _HEADS
        if module is head or (head is None and named_so):
            return str(name)
    return None


_HEADS = frozenset({"head", "lm_head", "unembed", "output_projection"})
