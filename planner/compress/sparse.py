"""Linear weights without their smallest numbers: how what is left can be stored.

Which weights stay is decided by magnitude over the whole layer (as torch.nn.utils.prune's
`l1_unstructured`), or among each four of a row (2:4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.flop_counter import register_flop_formula

from planner.compress.frozen import FrozenLinear


class _SparseLinear(FrozenLinear):
    values: Tensor

    @property
    def qweight(self) -> Tensor:
        """What stands for a stored weight: `peft` puts adapters on its device, in its dtype."""
        return self.values


class CSRLinear(_SparseLinear):
    """W as compressed sparse rows, multiplied by torch's own sparse product.

    A weight that stays takes 4 bytes for its column besides its own; each row 4 bytes for its
    start: over a sparsity of a half, fp32 weights take less than before. Backward makes W dense.
    torch's product on a CPU (MKL) takes fp32 and fp64 only.
    """

    def __init__(self, linear: nn.Linear, sparsity: float) -> None:
        """Keeps the largest weights of the layer."""
        super().__init__(linear)
        weight = linear.weight.detach()
        places = _largest(weight, sparsity)
        columns = weight.shape[1]
        starts = torch.arange(len(weight) + 1, device=weight.device) * columns
        self.values = nn.Buffer(weight.reshape(-1)[places])
        self.col_indices = nn.Buffer((places % columns).int())
        self.crow_indices = nn.Buffer(torch.searchsorted(places, starts, out_int32=True))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W, [out, in]."""
        rows = torch.repeat_interleave(self.crow_indices.diff(), output_size=len(self.values))
        places = rows.long().mul_(self.in_features).add_(self.col_indices)
        flat = self.values.new_zeros(self.out_features * self.in_features)
        return flat.index_copy_(0, places, self.values).view(self.out_features, -1).to(dtype)

    def product(self, x: Tensor) -> Tensor:
        """x W^T; the sparse product takes and makes one column a token."""
        tokens = x.reshape(-1, self.in_features).to(self.values.dtype)
        output = csr_product(
            self.crow_indices, self.col_indices, self.values, tokens.t().contiguous()
        )
        by_token: Tensor = output.t().contiguous()
        return by_token.view(*x.shape[:-1], -1).to(x.dtype)


@torch.library.custom_op("headroom::csr_product", mutates_args=())
def csr_product(crow_indices: Tensor, col_indices: Tensor, values: Tensor, right: Tensor) -> Tensor:
    """The product of a sparse [m, k] and a contiguous dense matrix [k, n]; [m, n].

    One op of its own, since fake tensors have no sparse layouts. With a contiguous `right` and an
    output of its own the kernel allocates nothing else on a CPU (ATen/native/mkl/
    SparseBlasImpl.cpp: `addmm_out_sparse_csr`; measured).
    """
    size = (len(crow_indices) - 1, len(right))
    left = torch.sparse_csr_tensor(crow_indices, col_indices, values, size, check_invariants=False)
    output = right.new_empty(size[0], right.shape[1])
    return torch.addmm(output, left, right, beta=0, out=output)


@csr_product.register_fake
def _csr_product(
    crow_indices: Tensor, col_indices: Tensor, values: Tensor, right: Tensor
) -> Tensor:
    return right.new_empty(len(crow_indices) - 1, right.shape[1])


@register_flop_formula(torch.ops.headroom.csr_product)
def _csr_flops(crow: Any, col: Any, values: Any, right: Any, *_: Any, **__: Any) -> int:
    """2 for each multiply-accumulate with a weight that stays."""
    return int(2 * values[0] * right[1])


class TwoOfFourLinear(_SparseLinear):
    """W with two of each four weights of a row: their values, and 2-bit positions, two pairs in a
    byte.

    It is what sparse tensor cores store (cuSPARSELt: half of the values, 2 bits each); here the
    product is made of a dense W, on every device.
    """

    def __init__(self, linear: nn.Linear) -> None:
        """Keeps the two largest of each four weights."""
        super().__init__(linear)
        fours = linear.weight.detach().reshape(-1, 4)
        places = fours.abs().topk(2, dim=1).indices.sort(dim=1).values
        self.values = nn.Buffer(fours.gather(1, places))
        pairs = (places[:, 0] | (places[:, 1] << 2)).to(torch.uint8)
        if len(pairs) % 2:
            pairs = torch.cat([pairs, pairs.new_zeros(1)])
        self.metadata = nn.Buffer(pairs[::2] | (pairs[1::2] << 4))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W, [out, in]."""
        shifts = torch.tensor((0, 2, 4, 6), dtype=torch.uint8).to(self.metadata.device)
        places = (self.metadata[:, None] >> shifts).bitwise_and_(3).view(-1, 2)
        places = places[: len(self.values)].long()
        fours = self.values.new_zeros(len(self.values), 4).scatter_(1, places, self.values)
        return fours.view(self.out_features, self.in_features).to(dtype)


class BitmaskLinear(_SparseLinear):
    """W as the values that stay and one bit for each weight: whether it does (EdgeBERT, arXiv
    2011.14203; adapter-ALBERT, arXiv 2303.16100).
    """

    def __init__(self, linear: nn.Linear, sparsity: float) -> None:
        """Keeps the largest weights of the layer."""
        super().__init__(linear)
        weight = linear.weight.detach()
        places = _largest(weight, sparsity)
        self.values = nn.Buffer(weight.reshape(-1)[places])
        stays = torch.zeros(-(-weight.numel() // 8) * 8, dtype=torch.uint8, device=weight.device)
        stays[places] = 1
        bits = stays.view(-1, 8) << _bit_numbers(weight.device)
        self.mask = nn.Buffer(bits.sum(1, dtype=torch.uint8))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W, [out, in]."""
        bits = (self.mask[:, None] >> _bit_numbers(self.mask.device)).bitwise_and_(1)
        flat = self.values.new_zeros(self.out_features * self.in_features)
        flat.masked_scatter_(bits.view(-1)[: len(flat)].bool(), self.values)
        return flat.view(self.out_features, self.in_features).to(dtype)


def mask(layer: nn.Module, sparsity: float) -> None:
    """Prune a layer in place as `torch.nn.utils.prune` does: it keeps the weight, a mask of its
    dtype, and their product, which each forward makes anew.

    What the library leaves as `weight` until the first forward is dropped.
    """
    prune.l1_unstructured(layer, "weight", amount=sparsity)  # type: ignore[no-untyped-call]
    layer.__dict__.pop("weight", None)


def _largest(weight: Tensor, sparsity: float) -> Tensor:
    """Places of the largest magnitudes in the flat weight, ascending, int64."""
    count = weight.numel() - round(sparsity * weight.numel())
    largest = weight.abs().reshape(-1).topk(max(count, 1), sorted=False)
    return largest.indices.sort().values


def _bit_numbers(device: torch.device) -> Tensor:
    return torch.arange(8, dtype=torch.uint8).to(device)
