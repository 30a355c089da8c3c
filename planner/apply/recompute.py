"""Units whose forward runs again in backward, whole or with some op outputs kept."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.utils.checkpoint import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from planner.apply.statistics import tracking_norms, untracked
from planner.apply.wrapping import Forward
from planner.errors import StrategyMismatch


@dataclass(frozen=True)
class Recompute:
    """Keep the unit's input alone (Chen et al. 2016, arXiv 1604.06174)."""

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """Run under non-reentrant `torch.utils.checkpoint`."""
        if not tracking_norms([module]):
            return checkpoint(forward, *args, use_reentrant=False, **kwargs)
        contexts = (nullcontext(), untracked([module]))
        return checkpoint(
            forward, *args, use_reentrant=False, context_fn=lambda: contexts, **kwargs
        )


@dataclass(frozen=True)
class Selective:
    """Keep the unit's input and the outputs of some ops; recompute the others.

    Attributes:
        save: calls as `aten.addmm#1`, numbered within the unit for each op.
    """

    save: frozenset[str]

    def __call__(self, module: nn.Module, forward: Forward, args: Any, kwargs: Any) -> Any:
        """Run under `torch.utils.checkpoint` with contexts that save these outputs."""
        return checkpoint(
            forward,
            *args,
            use_reentrant=False,
            context_fn=partial(self._contexts, module),
            **kwargs,
        )

    def _contexts(self, module: nn.Module) -> Any:
        caching, cached = create_selective_checkpoint_contexts(  # type: ignore[no-untyped-call]
            _Policy(self.save)
        )
        if not tracking_norms([module]):
            return caching, cached
        if any(call.startswith(_COUNTING) for call in self.save):
            raise StrategyMismatch(
                f"{_COUNTING} cannot be saved in a unit with batch norms: they count batches with "
                "it in forward, but not in the recomputation"
            )
        return caching, _Both(untracked([module]), cached)


_COUNTING = "aten.add_.Tensor"


class _Both:
    """Two contexts as one that can be entered again."""

    def __init__(self, outer: Any, inner: Any) -> None:
        self._outer = outer
        self._inner = inner

    def __enter__(self) -> None:
        self._outer.__enter__()
        self._inner.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._inner.__exit__(*error)
        self._outer.__exit__(*error)


class _Policy:
    """Says of each op call, in order, whether its output stays."""

    def __init__(self, save: frozenset[str]) -> None:
        self._save = save
        self._calls: Counter[OpOverload] = Counter()
        self._drawn_and_saved: str | None = None

    def __call__(
        self, context: SelectiveCheckpointContext, op: OpOverload, *args: Any, **kwargs: Any
    ) -> CheckpointPolicy:
        call = f"{op_name(op)}#{self._calls[op]}"
        self._calls[op] += 1
        saved = call in self._save
        if draws_random_numbers(op, args, kwargs):
            # The generator goes back to the unit's begin for the recomputation: a draw that is
            # left out there would shift all later ones, and gradients would be wrong unnoticed.
            if not saved and self._drawn_and_saved is not None:
                raise StrategyMismatch(
                    f"the strategy saves {self._drawn_and_saved}, which draws random numbers, but "
                    f"recomputes {call}, which draws after it; save neither"
                )
            if saved:
                self._drawn_and_saved = call
        return CheckpointPolicy.MUST_SAVE if saved else CheckpointPolicy.PREFER_RECOMPUTE


@lru_cache(maxsize=4096)
def op_name(op: OpOverload) -> str:
    """The op's name as on a tape: `aten.addmm`, `aten.add.Tensor`."""
    return str(op).removesuffix(".default")


def draws_random_numbers(op: OpOverload, args: Any, kwargs: Any) -> bool:
    """Whether the call advances a random number generator."""
    if torch.Tag.nondeterministic_seeded not in op.tags:
        return False
    place = _dropout_place(op)
    if place is None:
        return True
    probability = args[place] if len(args) > place else kwargs.get("dropout_p", 0.0)
    return bool(probability > 0)


@lru_cache(maxsize=256)
def _dropout_place(op: OpOverload) -> int | None:
    """Attention kernels draw only for their dropout: the place of its probability."""
    names = [argument.name for argument in op._schema.arguments]
    return names.index("dropout_p") if "dropout_p" in names else None
