"""Linear maps of full and of low rank."""

from __future__ import annotations

from torch import Tensor, nn


class LowRankLinear(nn.Module):
    """y = (x U) V + b with U [in, r] and V [r, out] for a matrix of rank r.

    r (in + out) parameters instead of in x out; r numbers a token more are saved for backward.
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool) -> None:
        super().__init__()
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        projected: Tensor = self.up(self.down(x))
        return projected


def linear(in_features: int, out_features: int, *, bias: bool, rank: int | None) -> nn.Module:
    """A linear map, as a product of two where a rank is given."""
    if rank is None:
        return nn.Linear(in_features, out_features, bias=bias)
    return LowRankLinear(in_features, out_features, rank, bias)
