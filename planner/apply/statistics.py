"""Running statistics of batch norms, which a recomputed forward must not update again."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from torch import nn
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
    """Can be entered again: a retained graph may recompute more than once."""

    def __init__(self, norms: list[_BatchNorm]) -> None:
        self._norms = norms
        self._changed: list[_BatchNorm] = []

    def __enter__(self) -> None:
        self._changed = [norm for norm in self._norms if norm.training]
        for norm in self._changed:
            norm.track_running_stats = False

    def __exit__(self, *_: object) -> None:
        for norm in self._changed:
            norm.track_running_stats = True
