"""Tensors of few-bit integers, packed into bytes, with a scale and a minimum for each group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Format:
    """How numbers are packed: asymmetric, round to nearest (KIVI, arXiv 2402.02750, section 3.1).

    Attributes:
        bits: of one number: 2, 4 or 8.
        group_size: consecutive numbers along `dim` that share a scale and a minimum.
        dim: of `[batch, heads, tokens, channels]`, -2 (per channel) or -1 (per token).
    """

    bits: int
    group_size: int
    dim: int

    @property
    def per_byte(self) -> int:
        """Numbers in a byte."""
        return 8 // self.bits

    def groups(self, states: Tensor) -> Tensor:
        """A view in which `dim` counts inside a group and the dimension before it counts groups."""
        return _split(states, self.dim, self.group_size)

    def bytes_of(self, groups: Tensor) -> Tensor:
        """A view of groups in which `dim` counts inside a byte."""
        return _split(groups, self.dim, self.per_byte)


def _split(tensor: Tensor, dim: int, size: int) -> Tensor:
    view: Tensor = tensor.unflatten(dim, (-1, size))  # type: ignore[no-untyped-call]
    return view


@dataclass
class PackedStates:
    """Keys or values of a layer, packed.

    Attributes:
        codes: uint8, `bits` of each number.
        scale, low: of each group, in the dtype of the states.
    """

    format: Format
    codes: Tensor
    scale: Tensor
    low: Tensor

    @classmethod
    def of(cls, states: Tensor, format: Format) -> PackedStates:
        """Pack `[batch, heads, tokens, channels]`, whole groups along the format's dimension."""
        groups = format.groups(states)
        low = groups.amin(format.dim, keepdim=True)
        levels = 2**format.bits - 1
        scale = groups.amax(format.dim, keepdim=True).sub_(low).div_(levels)
        scale.clamp_(min=torch.finfo(states.dtype).tiny)  # of equal numbers, all of code 0
        numbers = (groups - low).div_(scale).round_().clamp_(0, levels).to(torch.uint8)
        parts = format.bytes_of(numbers).unbind(format.dim)
        codes = parts[0].clone() if len(parts) > 1 else parts[0]
        for place, part in enumerate(parts[1:], 1):
            codes |= part << (place * format.bits)
        return cls(format, codes, scale, low)

    @property
    def tokens(self) -> int:
        """Tokens that are packed."""
        return int(self.codes.shape[2]) * (self.format.group_size if self.format.dim == -2 else 1)

    @property
    def nbytes(self) -> int:
        """Bytes of codes, scales and minima."""
        return sum(tensor.nbytes for tensor in (self.codes, self.scale, self.low))

    def append(self, states: Tensor) -> None:
        """Pack further tokens behind those that are there."""
        more = PackedStates.of(states, self.format)
        self.codes = torch.cat([self.codes, more.codes], dim=2)
        self.scale = torch.cat([self.scale, more.scale], dim=2)
        self.low = torch.cat([self.low, more.low], dim=2)

    def unpack_into(self, out: Tensor) -> None:
        """Write the states, rounded as they are, into a tensor of their shape."""
        groups = self.format.groups(out)
        bits = self.format.bits
        for place, part in enumerate(self.format.bytes_of(groups).unbind(self.format.dim)):
            part.copy_((self.codes >> (place * bits)) & (2**bits - 1) if bits < 8 else self.codes)
        groups.mul_(self.scale).add_(self.low)
