"""Running statistics of batch norms, which a recomputed forward must not update again."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def tracking_norms(modules: list[nn.Module]) -> list[_BatchNorm]:
    """Batch norms among and inside the modules that keep running statistics."""
    return [
        norm
        for module in modules
        for norm in module.modules()
        if isinstance(norm, _BatchNorm) and norm.track_running_stats
    ]


def untracked(modules: list[nn.Module]) -> AbstractContextManager[None]:
    """A context for recomputation: the modules' batch norms use the batch's statistics, as in
    training, and leave the running ones alone.
    """
    norms = tracking_norms(modules)
    return _Untracked(norms) if norms else nullcontext()


class _Untracked:
    """Momentum 0 and no counting. Can be entered again: a retained graph may recompute twice."""

    def __init__(self, norms: list[_BatchNorm]) -> None:
        self._norms = norms
        self._before: list[tuple[float | None, Tensor | None]] = []

    def __enter__(self) -> None:
        self._before = [(norm.momentum, norm.num_batches_tracked) for norm in self._norms]
        for norm in self._norms:
            norm.momentum = 0.0
            norm.num_batches_tracked = None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self._norms, self._before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = count
