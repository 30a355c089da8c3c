"""SGC, sparse gradient compression (Yang et al. 2025, arXiv 2502.00311): AdamW's moments in R^k.

From the paper: of a gradient only the s largest numbers are kept; a fixed random A projects them to
R^k, where the moments live; orthogonal matching pursuit over A makes an s-sparse step of full size
of the normalised moments. MESGC does so for c chunks of each gradient with one small A [k, d / c];
CESGC first projects a matrix by singular vectors as GaLore does. State: 2 c k numbers (fp32) for
each parameter of d > c k numbers, 2 d of a smaller one. Of a matrix [m, n], CESGC compresses the
r max(m, n) numbers of the projected gradient, and keeps the projector's r min(m, n).

Chosen here, where the paper's text was not at hand: Gaussian columns of norm 1; s numbers of each
chunk; A drawn again from `seed` at each step unless `store_projection` (then k ceil(d / c) numbers
more for each parameter); bias correction as in AdamW; parameters of no more than c k numbers keep
whole moments, since compressed ones would be larger; defaults.

Limitation: the gradient itself stays whole, and matching pursuit holds c n numbers of correlations
(the size of the parameter) and A while a parameter is stepped: the saving is in what stays between
steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planner.models.compressed.galore import low_rank_gradient
from planner.models.compressed.low_rank import has_low_rank, project_back
from planner.models.compressed.parameterwise import (
    ParameterwiseAdamW,
    check_counts,
    decay,
    normalised_moments,
)
from planner.models.compressed.recovery import (
    matching_pursuit,
    random_projection,
    sparse_projection,
)


class _SparseAdamW(ParameterwiseAdamW):
    """What both variants have in common: the moments of a gradient of any size."""

    def __init__(self, params: Iterable[nn.Parameter], **defaults: Any) -> None:
        super().__init__(params, **defaults)
        check_counts(defaults, "k", "s", "chunks")
        if defaults["s"] > defaults["k"]:
            raise ValueError("s must be at most k")
        if type(defaults["seed"]) is not int:
            raise ValueError("seed must be a whole number")


class MESGC(_SparseAdamW):
    """Memory-efficient SGC: gradients in chunks."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        k: int = 64,
        s: int = 16,
        chunks: int = 16,
        seed: int = 0,
        store_projection: bool = False,
    ) -> None:
        """As `torch.optim.AdamW`.

        Args:
            k: numbers of a moment for each chunk.
            s: numbers of a chunk that a step changes, at most k.
            chunks: c, of every parameter.
            seed: of the random projection.
            store_projection: keep A instead of drawing it at each step.

        Raises:
            ValueError: an argument is out of its range.
        """
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, k=k, s=s,
            chunks=chunks, seed=seed, store_projection=store_projection,
        )  # fmt: skip

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if _is_small(gradient, group):
            update = normalised_moments(state, gradient.float(), group)
            decay(parameter, group)
            parameter.add_(update.to(parameter.dtype), alpha=-group["lr"])
            return
        positions, values = _sparse_update(state, gradient, group)
        decay(parameter, group)
        changes = values.mul_(-group["lr"]).to(parameter.dtype)
        parameter.view(-1).index_add_(0, positions, changes)


class CESGC(_SparseAdamW):
    """Compute-efficient SGC: matrices are projected to rank r first, and their steps back."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        k: int = 64,
        s: int = 16,
        chunks: int = 16,
        seed: int = 0,
        store_projection: bool = False,
        rank: int = 128,
        update_interval: int = 200,
        scale: float = 0.25,
    ) -> None:
        """As `MESGC`, and `rank`, `update_interval` and `scale` as of `GaLoreAdamW`.

        Raises:
            ValueError: an argument is out of its range.
        """
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, k=k, s=s,
            chunks=chunks, seed=seed, store_projection=store_projection, rank=rank,
            update_interval=update_interval, scale=scale,
        )  # fmt: skip
        check_counts(self.defaults, "rank", "update_interval")

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if has_low_rank(gradient, group["rank"]):
            low = low_rank_gradient(state, gradient.float(), group)
            step = _whole_update(state, low, group).mul_(group["scale"])
            update = project_back(step, state["projector"], parameter.shape)
        else:
            update = _whole_update(state, gradient, group)
        decay(parameter, group)
        parameter.add_(update.to(parameter.dtype), alpha=-group["lr"])


def _is_small(gradient: Tensor, group: dict[str, Any]) -> bool:
    """Whether compressed moments would be no smaller than whole ones."""
    return gradient.numel() <= int(group["chunks"] * group["k"])


def _whole_update(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """What AdamW subtracts of a gradient, before the learning rate, in its shape."""
    if _is_small(gradient, group):
        return normalised_moments(state, gradient.float(), group)
    positions, values = _sparse_update(state, gradient, group)
    update = torch.zeros(gradient.shape, dtype=values.dtype, device=values.device)
    update.view(-1).index_add_(0, positions, values)
    return update


def _sparse_update(
    state: dict[str, Any], gradient: Tensor, group: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """The same as positions in the gradient and values, c s each; a position beyond its end is
    given as its last one with a value of 0.
    """
    numbers, chunks, sparsity = gradient.numel(), group["chunks"], group["s"]
    length = -(-numbers // chunks)
    flat = gradient.reshape(-1).float()
    if chunks * length > numbers:
        flat = F.pad(flat, (0, chunks * length - numbers))
    flat = flat.view(chunks, length)
    indices = flat.abs().topk(sparsity, dim=1, sorted=False).indices
    kept = flat.gather(1, indices)
    del flat
    rows = _projection(state, length, group, kept.device)
    moments = normalised_moments(state, sparse_projection(rows, indices, kept), group)
    columns, values = matching_pursuit(rows, moments, sparsity, numbers)
    starts = torch.arange(0, chunks * length, length, device=columns.device)
    positions = (columns + starts.unsqueeze(1)).view(-1)
    values = values.reshape(-1).masked_fill_(positions >= numbers, 0)
    return positions.clamp_(max=numbers - 1), values


def _projection(
    state: dict[str, Any], length: int, group: dict[str, Any], device: torch.device
) -> Tensor:
    if "projection" in state:
        kept: Tensor = state["projection"]
        return kept
    rows = random_projection(length, group["k"], group["seed"], device)
    if group["store_projection"]:
        state["projection"] = rows
    return rows
