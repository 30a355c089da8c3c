"""The Mamba block (arXiv 2312.00752), along one order of the tokens or along several."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from planner.models.state_space.autocast import without_autocast
from planner.models.state_space.chunked import chunked_scan
from planner.models.state_space.naive import naive_scan

Scan = Literal["chunked", "naive"]
ChunkSize = Annotated[int, Ge(1), Le(1_024)]  # as many steps are executed, whatever S is

# Of delta at first, log-uniform between them; as in the authors' code (state-spaces/mamba,
# mamba_ssm/modules/mamba_simple.py).
_DELTA_MIN, _DELTA_MAX, _DELTA_FLOOR = 1e-3, 1e-1, 1e-4


@dataclass(frozen=True)
class Order:
    """One order of the tokens [B, S, ...]: a way there and the way back."""

    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


def _same(x: Tensor) -> Tensor:
    return x


def _reversed(x: Tensor) -> Tensor:
    return x.flip(1)


def _transposed(x: Tensor, *, rows: int) -> Tensor:
    """Token i of all rows of consecutive tokens, then token i + 1 of all."""
    return torch.unflatten(x, 1, (rows, -1)).transpose(1, 2).flatten(1, 2)


def _transposed_back(x: Tensor, *, rows: int) -> Tensor:
    return torch.unflatten(x, 1, (-1, rows)).transpose(1, 2).flatten(1, 2)


FORWARD = Order(_same, _same)
REVERSE = Order(_reversed, _reversed)


def across(slices: int) -> Order:
    """From slice to slice, which are equal runs of consecutive tokens."""
    return Order(partial(_transposed, rows=slices), partial(_transposed_back, rows=slices))


class SelectiveSSM(nn.Module):
    """y = SSM(u) + D u with u = SiLU(conv(x)), whose delta, B and C depend on u.

    The recurrence is computed in fp32 at least, as the authors' kernel does.
    """

    def __init__(
        self, width: int, state_size: int, conv_kernel: int, dt_rank: int, scan: Scan,
        chunk_size: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv1d = nn.Conv1d(width, width, conv_kernel, padding=conv_kernel - 1, groups=width)
        self.x_proj = nn.Linear(width, dt_rank + 2 * state_size, bias=False)
        self.dt_proj = nn.Linear(dt_rank, width)
        self.A_log = nn.Parameter(torch.arange(1.0, state_size + 1).log().repeat(width, 1))
        self.D = nn.Parameter(torch.ones(width))
        self._sizes = [dt_rank, state_size, state_size]
        self._scan = naive_scan if scan == "naive" else partial(chunked_scan, chunk_size=chunk_size)
        self._initialise_delta()

    def _initialise_delta(self) -> None:
        nn.init.uniform_(self.dt_proj.weight, -(self._sizes[0] ** -0.5), self._sizes[0] ** -0.5)
        low, high = math.log(_DELTA_MIN), math.log(_DELTA_MAX)
        with torch.no_grad():
            delta = torch.empty_like(self.dt_proj.bias).uniform_(low, high).exp_()
            delta.clamp_(min=_DELTA_FLOOR)
            # The inverse of softplus.
            self.dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, D] -> [B, S, D]."""
        length = x.shape[1]
        convolved = self.conv1d(x.transpose(1, 2))[..., :length]  # causal
        u = F.silu(convolved).transpose(1, 2).contiguous()
        low, b, c = self.x_proj(u).split(self._sizes, dim=-1)
        delta = self.dt_proj(low)
        with without_autocast(x.device):
            dtype = torch.promote_types(delta.dtype, torch.float32)
            u32, delta, b, c = (each.to(dtype) for each in (u, delta, b, c))
            y = self._scan(u32, F.softplus(delta), self.A_log.to(dtype), b, c)
            y = torch.addcmul(y, u32, self.D.to(dtype))
            return y.to(u.dtype)


class MambaMixer(nn.Module):
    """out_proj(SiLU(z) * sum over orders of SSM(x)) with [x, z] = in_proj(input).

    Several orders share both projections, as in Vision Mamba (arXiv 2401.09417) and SegMamba
    (arXiv 2401.13560); everything else each has for itself.

    Args:
        expand: D = expand H.
        dt_rank: numbers that delta is made from; ceil(H / 16) when None.
        scan: "naive" keeps the states of all tokens for backward.
        chunk_size: of the chunked scan.
        orders: one scan each.
    """

    def __init__(
        self, hidden_size: int, *, state_size: int = 16, conv_kernel: int = 4, expand: int = 2,
        dt_rank: int | None = None, scan: Scan = "chunked", chunk_size: int = 64,
        orders: tuple[Order, ...] = (FORWARD,),
    ) -> None:  # fmt: skip
        super().__init__()
        width = expand * hidden_size
        rank = dt_rank or math.ceil(hidden_size / 16)
        self.in_proj = nn.Linear(hidden_size, 2 * width, bias=False)
        self.scans = nn.ModuleList(
            SelectiveSSM(width, state_size, conv_kernel, rank, scan, chunk_size) for _ in orders
        )
        self.out_proj = nn.Linear(width, hidden_size, bias=False)
        self._orders = orders

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        x, z = self.in_proj(hidden).chunk(2, dim=-1)
        total: Tensor | None = None
        for scan, order in zip(self.scans, self._orders, strict=True):
            y = order.back(scan(order.there(x)))
            total = y if total is None else total + y
        assert total is not None, "there is at least one order"
        mixed: Tensor = self.out_proj(total * F.silu(z))
        return mixed


class Mamba(MambaMixer):
    """A Mamba block as a layer; with `bidirectional`, a second scan comes from the last token."""

    def __init__(
        self, hidden_size: int, state_size: int = 16, conv_kernel: int = 4, expand: int = 2,
        dt_rank: int | None = None, chunk_size: ChunkSize = 64, bidirectional: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            hidden_size, state_size=state_size, conv_kernel=conv_kernel, expand=expand,
            dt_rank=dt_rank, chunk_size=chunk_size,
            orders=(FORWARD, REVERSE) if bidirectional else (FORWARD,),
        )  # fmt: skip


class TriOrientedMamba(MambaMixer):
    """ToM of a volume whose voxels are tokens: from the first, from the last, and from slice to
    slice (SegMamba, arXiv 2401.13560, section 2.2; SegResMamba, arXiv 2503.07766, section 2.1).
    """

    def __init__(
        self, hidden_size: int, num_slices: int, state_size: int = 16, conv_kernel: int = 4,
        expand: int = 2, dt_rank: int | None = None, chunk_size: ChunkSize = 64,
    ) -> None:  # fmt: skip
        super().__init__(
            hidden_size, state_size=state_size, conv_kernel=conv_kernel, expand=expand,
            dt_rank=dt_rank, chunk_size=chunk_size,
            orders=(FORWARD, REVERSE, across(num_slices)),
        )  # fmt: skip
