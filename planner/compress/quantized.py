"""Linear weights as 8-bit integers and as 4-bit NormalFloats, in plain torch.

The layouts are those of torchao and bitsandbytes, whose own tensors cannot be traced on fake ones
(docs/adr/0002-weight-compression.md); tests compare stored bytes and values with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from planner.compress.frozen import FrozenLinear
from planner.models.adamw8bit import numbers_of_codes

NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
"""What each 4-bit code stands for: quantiles of a normal distribution (QLoRA, arXiv 2305.14314,
appendix E; bitsandbytes: functional.py, `get_4bit_type`)."""

SCALES_BLOCK = 256
"""Scales with a scale of their own (bitsandbytes: functional.py, `quantize_4bit`)."""

INT8_MAX = 127.5
"""Half of the integers -128 to 127: the largest magnitude of a row lies at it, and is clamped
(torchao: quantization/quant_primitives.py, `choose_qparams_affine`, symmetric)."""


class Int8Linear(FrozenLinear):
    """W = diag(s) Q with Q [out, in] of int8 and s [out] of fp32: in x out + 4 out bytes.

    Rows are scaled after the product, so that Q is only cast before it.
    """

    def __init__(self, linear: nn.Linear) -> None:
        """Quantises the layer's weight by the largest magnitude of each row."""
        super().__init__(linear)
        weight = linear.weight.detach()
        scale = weight.abs().amax(1).float().div_(INT8_MAX).clamp_min_(_EPSILON)
        codes = weight * scale.reciprocal()[:, None]
        self.qweight = nn.Buffer(codes.round_().clamp_(-128, 127).to(torch.int8))
        self.scale = nn.Buffer(scale)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W, [out, in]."""
        return self.qweight.to(dtype).mul_(self.scale.to(dtype)[:, None])

    def product(self, x: Tensor) -> Tensor:
        """x W^T."""
        return F.linear(x, self.qweight.to(x.dtype)).mul_(self.scale.to(x.dtype))

    def product_backward(self, gradient: Tensor) -> Tensor:
        """Gradient of x."""
        return (gradient * self.scale.to(gradient.dtype)) @ self.qweight.to(gradient.dtype)


@dataclass(frozen=True)
class Tables:
    """Numbers that codes stand for; all layers of a model share them (3 KiB).

    Attributes:
        pairs: [256, 2] fp32, the two weights that a byte of 4-bit codes stands for.
        scales: [256] fp32, the numbers that 8-bit codes of scales stand for.
    """

    pairs: Tensor
    scales: Tensor

    @classmethod
    def on(cls, device: torch.device) -> Tables:
        """The tables on a device."""
        with _disable_current_modes():  # numbers, which fake tensors have not
            scales = numbers_of_codes(signed=True)
        pairs = torch.tensor([(first, second) for first in NF4 for second in NF4])
        return cls(pairs.to(device, copy=True), torch.tensor(scales).to(device, copy=True))


class NF4Linear(FrozenLinear):
    """W in blocks of 4-bit codes, two in a byte, the first in its high half.

    A block's scale is its largest magnitude: in fp32 (4 + 32/64 bits a weight), or, quantised
    again, as a byte with an fp32 scale for each 256 and one fp32 offset (4.127 bits a weight and
    4 bytes a layer).
    """

    def __init__(
        self, linear: nn.Linear, block_size: int, double_quantization: bool, tables: Tables
    ) -> None:
        """Quantises the layer's weight."""
        super().__init__(linear)
        self.block_size = block_size
        self.double_quantization = double_quantization
        self.quant_map = nn.Buffer(tables.pairs, persistent=False)
        numbers = linear.weight.detach().reshape(-1).float()
        scales = _largest(numbers, block_size)
        self.qweight = nn.Buffer(_packed(_divided(numbers, scales, block_size)))
        if double_quantization:
            self.nested_quant_map = nn.Buffer(tables.scales, persistent=False)
            offset = scales.mean()
            centred = scales - offset
            nested = _largest(centred, SCALES_BLOCK)
            codes = _codes(_divided(centred, nested, SCALES_BLOCK), tables.scales)
            self.offset = nn.Buffer(offset)
            self.nested_absmax = nn.Buffer(nested)
            self.absmax = nn.Buffer(codes)
        else:
            self.absmax = nn.Buffer(scales)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W, [out, in]: a look-up for each byte, then a product with the scales."""
        numbers = self.quant_map.to(dtype).index_select(0, self.qweight.int()).view(-1)
        numbers = numbers[: self.in_features * self.out_features]
        _multiply(numbers, self._scales().to(dtype), self.block_size)
        return numbers.view(self.out_features, self.in_features)

    def _scales(self) -> Tensor:
        if not self.double_quantization:
            return self.absmax
        scales = self.nested_quant_map.index_select(0, self.absmax.int())
        _multiply(scales, self.nested_absmax, SCALES_BLOCK)
        return scales.add_(self.offset)


_EPSILON = torch.finfo(torch.float32).tiny


def _largest(numbers: Tensor, block: int) -> Tensor:
    """The largest magnitude of each block; the last block may be short."""
    whole = len(numbers) // block * block
    magnitudes = numbers.abs()
    largest = magnitudes[:whole].view(-1, block).amax(1)
    if whole == len(numbers):
        return largest
    return torch.cat([largest, magnitudes[whole:].amax().view(1)])


def _multiply(numbers: Tensor, scales: Tensor, block: int) -> None:
    whole = len(numbers) // block * block
    numbers[:whole].view(-1, block).mul_(scales[: whole // block, None])
    if whole < len(numbers):
        numbers[whole:].mul_(scales[-1:])


def _divided(numbers: Tensor, scales: Tensor, block: int) -> Tensor:
    divided = numbers.clone()
    _multiply(divided, scales.clamp_min(_EPSILON).reciprocal_(), block)
    return divided


def _codes(numbers: Tensor, values: Tensor) -> Tensor:
    """The number of the nearest of the ascending values, as bytes."""
    borders = (values[1:] + values[:-1]) / 2
    return torch.bucketize(numbers, borders, out_int32=True).to(torch.uint8)


def _packed(numbers: Tensor) -> Tensor:
    """Two 4-bit codes a byte; an odd last one stands alone, beside a zero."""
    codes = _codes(numbers, torch.tensor(NF4).to(numbers.device))
    if len(codes) % 2:
        codes = torch.cat([codes, codes.new_zeros(1)])
    return (codes[::2] << 4) | codes[1::2]
