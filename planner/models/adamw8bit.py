"""AdamW with 8-bit states: Dettmers et al. 2021, arXiv 2110.02861, in plain torch.

Both moments are kept as one byte a number, in blocks of 256 with the block's largest magnitude
beside them (section 2.1: block-wise quantization), on the non-linear scale of section 1.3 (dynamic
tree quantization). A step takes a parameter in parts: moments of a part are expanded to fp32,
updated, and put back, so what is alive at once is bounded, whatever the size of the parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from planner.models.compressed.parameterwise import ParameterwiseAdamW

BLOCK = 256
"""Numbers with a scale of their own (bitsandbytes: functional.py, `quantize_blockwise`)."""

PART = 1 << 22
"""Numbers of a parameter that are updated at once; a multiple of `BLOCK`."""

MIN_NUMBERS = 4096
"""Smaller parameters keep fp32 states (bitsandbytes: optim/optimizer.py, `min_8bit_size`)."""


class AdamW8bit(ParameterwiseAdamW):
    """Decoupled weight decay (Loshchilov and Hutter 2017, arXiv 1711.05101) with 8-bit moments."""

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        """As `torch.optim.AdamW`.

        Raises:
            ValueError: an argument is out of its range.
        """
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            numbers = parameter.numel()
            small = numbers < MIN_NUMBERS
            state["exp_avg"] = _zeros(parameter, signed=True, small=small)
            state["exp_avg_sq"] = _zeros(parameter, signed=False, small=small)
        state["step"] += 1
        flat, gradient = parameter.view(-1), gradient.reshape(-1)
        for first in range(0, flat.numel(), PART):
            part = slice(first, first + PART)
            _update_part(flat[part], gradient[part], state, first, group)


def _zeros(parameter: Tensor, signed: bool, small: bool) -> Any:
    numbers, device = parameter.numel(), parameter.device
    if small:
        return torch.zeros(numbers, dtype=torch.float32, device=device)
    blocks = -(-numbers // BLOCK)
    zero = 127 if signed else 0
    codes = torch.full((numbers,), zero, dtype=torch.uint8, device=device)
    return {"codes": codes, "scales": torch.zeros(blocks, dtype=torch.float32, device=device)}


def _update_part(
    weights: Tensor, gradient: Tensor, state: dict[str, Any], first: int, group: dict[str, Any]
) -> None:
    """One step of AdamW for some numbers of a parameter (Loshchilov and Hutter, algorithm 2)."""
    beta1, beta2 = group["betas"]
    gradient = gradient.float()
    average = _read(state["exp_avg"], first, len(weights), signed=True)
    average.lerp_(gradient, 1 - beta1)
    _write(state["exp_avg"], first, average, signed=True)
    square = _read(state["exp_avg_sq"], first, len(weights), signed=False)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    _write(state["exp_avg_sq"], first, square, signed=False)
    step = state["step"]
    denominator = square.sqrt_().div_((1 - beta2**step) ** 0.5).add_(group["eps"])
    weights.mul_(1 - group["lr"] * group["weight_decay"])
    update = average.div_(denominator).mul_(-group["lr"] / (1 - beta1**step))
    weights.add_(update.to(weights.dtype))


def _read(moment: Any, first: int, count: int, signed: bool) -> Tensor:
    if isinstance(moment, Tensor):
        return moment[first : first + count].clone()
    values = scale_of_codes(signed).to(moment["codes"].device)
    numbers = values.index_select(0, moment["codes"][first : first + count].int())
    _in_blocks(numbers, _scales(moment, first, count), Tensor.mul_)
    return numbers


def _write(moment: Any, first: int, numbers: Tensor, signed: bool) -> None:
    if isinstance(moment, Tensor):
        moment[first : first + len(numbers)] = numbers
        return
    scales = _scales(moment, first, len(numbers))
    whole = len(numbers) // BLOCK * BLOCK
    magnitudes = numbers.abs()
    scales[: whole // BLOCK] = magnitudes[:whole].view(-1, BLOCK).amax(1)
    if whole < len(numbers):
        scales[-1] = magnitudes[whole:].amax()
    magnitudes.copy_(numbers)
    _in_blocks(magnitudes, scales.clamp_min(torch.finfo(torch.float32).tiny), Tensor.div_)
    values = scale_of_codes(signed).to(numbers.device)
    borders = (values[1:] + values[:-1]) / 2
    codes = torch.bucketize(magnitudes, borders, out_int32=True)
    moment["codes"][first : first + len(numbers)] = codes.to(torch.uint8)


def _scales(moment: dict[str, Tensor], first: int, count: int) -> Tensor:
    return moment["scales"][first // BLOCK : -(-(first + count) // BLOCK)]


def _in_blocks(numbers: Tensor, scales: Tensor, change: Callable[[Tensor, Tensor], Any]) -> None:
    """Change each block of numbers in place by its scale; the last block may be short."""
    whole = len(numbers) // BLOCK
    change(numbers[: whole * BLOCK].view(-1, BLOCK), scales[:whole, None])
    if whole * BLOCK < len(numbers):
        change(numbers[whole * BLOCK :], scales[-1:])


def scale_of_codes(signed: bool) -> Tensor:
    """`numbers_of_codes` as fp32. Made anew each time: one that a process keeps would be there in
    its second job, and not in another process's first.
    """
    return torch.tensor(numbers_of_codes(signed), dtype=torch.float32)


@lru_cache
def numbers_of_codes(signed: bool) -> tuple[float, ...]:
    """The 256 (or 255) numbers in [-1, 1] (or [0, 1]) that a byte can stand for, ascending.

    Dynamic tree quantization: leading zeros give the power of ten, the bits after them a fraction
    on a linear scale (Dettmers et al. 2021, section 1.3; bitsandbytes: `create_dynamic_map`).
    """
    exponents, bits = 7, 6 if signed else 7
    numbers = [0.0, 1.0]
    for exponent in range(exponents):
        steps = 2 ** (exponent + bits - 6) + 1
        edges = torch.linspace(0.1, 1, steps)
        means = ((edges[:-1] + edges[1:]) / 2 * 10.0 ** (exponent - exponents + 1)).tolist()
        numbers += means + ([-mean for mean in means] if signed else [])
    return tuple(sorted(numbers))
