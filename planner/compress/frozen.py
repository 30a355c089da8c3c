"""Linear layers whose weight is stored in another form and gets no gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class FrozenLinear(nn.Linear):
    """y = x W^T + b, with W rebuilt from its stored form whenever it is needed.

    Nothing of the size of W lives between forward and backward: autograd keeps the layer, and
    backward rebuilds W once more for the gradient of x, as bitsandbytes' `MatMul4Bit` does. The
    bias stays a parameter. It is an `nn.Linear` without `weight`, so that `peft` adapts it.
    """

    def __init__(self, linear: nn.Linear) -> None:
        """Takes sizes and bias of a layer, and leaves its weight to the subclass."""
        nn.Module.__init__(self)
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.register_parameter("weight", None)
        self.register_parameter("bias", linear.bias)

    def dense(self, dtype: torch.dtype) -> Tensor:
        """W, [out, in]."""
        raise NotImplementedError

    def product(self, x: Tensor) -> Tensor:
        """x W^T: [..., in] -> [..., out], a new tensor."""
        return F.linear(x, self.dense(x.dtype))

    def product_backward(self, gradient: Tensor) -> Tensor:
        """Gradient of x: [..., out] -> [..., in]."""
        return gradient @ self.dense(gradient.dtype)

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        device = input.device.type
        if torch.is_autocast_enabled(device):
            input = input.to(torch.get_autocast_dtype(device))
        output: Tensor = _Product.apply(input, self.bias, self)  # type: ignore[no-untyped-call]
        return output


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, layer: FrozenLinear) -> Tensor:
        ctx.layer = layer
        output = layer.product(x)
        return output if bias is None else output.add_(bias.to(output.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x = bias = None
        if ctx.needs_input_grad[0]:
            x = ctx.layer.product_backward(gradient)
        if ctx.needs_input_grad[1]:
            bias = gradient.sum(dim=tuple(range(gradient.dim() - 1)))
        return x, bias, None
