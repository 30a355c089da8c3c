"""GaLore (Zhao et al. 2024, arXiv 2403.03507): AdamW's moments of low-rank gradients.

Every matrix whose sides are both longer than the rank has a projector from the singular value
decomposition of its gradient, made anew every `update_interval` steps; the moments are those of the
projected gradient. State: r (n + 2 m) numbers of a matrix [m, n], m >= n (fp32), 2 m n otherwise.
The gradient itself stays whole, and so does what is subtracted. Defaults of rank, interval and
scale as in the authors' README.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from planner.models.compressed.low_rank import has_low_rank, project, project_back, projector_of
from planner.models.compressed.parameterwise import (
    ParameterwiseAdamW,
    check_counts,
    decay,
    normalised_moments,
)


class GaLoreAdamW(ParameterwiseAdamW):
    """AdamW in the space of each gradient's largest singular vectors."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        rank: int = 128,
        update_interval: int = 200,
        scale: float = 0.25,
    ) -> None:
        """As `torch.optim.AdamW`.

        Args:
            rank: r, singular vectors kept.
            update_interval: T, steps between two decompositions.
            scale: alpha, by which updates of projected matrices are multiplied.

        Raises:
            ValueError: an argument is out of its range.
        """
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, rank=rank,
            update_interval=update_interval, scale=scale,
        )  # fmt: skip
        check_counts(self.defaults, "rank", "update_interval")

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        gradient = gradient.float()
        if not has_low_rank(gradient, group["rank"]):
            update = normalised_moments(state, gradient, group)
        else:
            low = low_rank_gradient(state, gradient, group)
            del gradient
            low = normalised_moments(state, low, group).mul_(group["scale"])
            update = project_back(low, state["projector"], parameter.shape)
        decay(parameter, group)
        parameter.add_(update.to(parameter.dtype), alpha=-group["lr"])


def low_rank_gradient(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """The gradient projected, by a projector that is made anew when its time has come."""
    if state.get("step", 0) % group["update_interval"] == 0:
        state["projector"] = projector_of(gradient, group["rank"])
    return project(gradient, state["projector"])
