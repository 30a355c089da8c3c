"""Mixture of experts of fixed capacity (Switch, arXiv 2101.03961; GShard, arXiv 2006.16668)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from planner.models.architecture.feed_forward import Activation


class ExpertsFeedForward(nn.Module):
    """y = sum over the k best experts e of p_e(x) FFN_e(x), with p = softmax(x W_r) in fp32.

    Each expert has room for C = ceil(f n k / E) of the n tokens, in order; a token beyond it is
    left to the residual (section 2.2). So every tensor has the same size whatever the router
    chooses: [E, C, H] and [E, C, F]. With k > 1 the chosen p are divided by their sum (GShard).

    The load is balanced by alpha E sum_e (share of tokens)_e (mean p)_e, equation 4: it reaches the
    router's gradient beside the model's loss, unscaled, and is not part of the loss that is
    reported.
    """

    def __init__(
        self,
        hidden: int,
        intermediate: int,
        num_experts: int,
        top_k: int,
        capacity_factor: float,
        activation: str,
        aux_loss: float,
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.capacity_factor = capacity_factor
        self.aux_loss = aux_loss
        self.router = nn.Linear(hidden, num_experts, bias=False)
        self.up_proj = _experts(num_experts, hidden, intermediate)
        self.activation = Activation(activation)
        self.down_proj = _experts(num_experts, intermediate, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        tokens = x.flatten(0, -2)
        probabilities = self.router(tokens).float().softmax(-1)
        weights, experts = probabilities.topk(self.top_k, dim=-1)
        if self.top_k > 1:
            weights = weights / weights.sum(-1, keepdim=True)
        slots, sources = self._places(experts)
        padded = torch.cat([tokens, tokens.new_zeros(1, tokens.shape[1])])
        inputs = torch.unflatten(padded[sources], 0, (len(self.up_proj), -1))
        outputs = (self.activation(inputs @ self.up_proj) @ self.down_proj).flatten(0, 1)
        outputs = torch.cat([outputs, outputs.new_zeros(1, outputs.shape[1])])
        mixed = (outputs[slots] * weights.to(outputs.dtype).unsqueeze(-1)).sum(1)
        if self.aux_loss and torch.is_grad_enabled():
            mixed = AddedLoss.apply(  # type: ignore[no-untyped-call]
                mixed, self._balance(probabilities, experts)
            )
        output: Tensor = mixed.view_as(x)
        return output

    def _places(self, experts: Tensor) -> tuple[Tensor, Tensor]:
        """The slot of each choice [n, k] (E C where there is no room), and the token in each slot
        [E C] (n where there is none).
        """
        count, num_experts = len(experts), len(self.up_proj)
        capacity = math.ceil(self.capacity_factor * count * self.top_k / num_experts)
        flat = experts.flatten()
        chosen = flat[:, None] == torch.arange(num_experts, device=flat.device)
        place = (chosen.cumsum(0) * chosen).sum(-1) - 1
        slots = torch.where(place < capacity, flat * capacity + place, num_experts * capacity)
        sources = torch.full((num_experts * capacity + 1,), count, device=flat.device)
        tokens = torch.arange(len(flat), device=flat.device) // self.top_k
        return slots.view_as(experts), sources.scatter(0, slots, tokens)[:-1]

    def _balance(self, probabilities: Tensor, experts: Tensor) -> Tensor:
        num_experts = probabilities.shape[1]
        chosen = experts.flatten()[:, None] == torch.arange(num_experts, device=experts.device)
        share = chosen.to(probabilities.dtype).mean(0)
        return self.aux_loss * num_experts * (share * probabilities.mean(0)).sum()


def _experts(count: int, rows: int, columns: int) -> nn.Parameter:
    weight = nn.Parameter(torch.empty(count, rows, columns))
    nn.init.normal_(weight, std=rows**-0.5)
    return weight


class AddedLoss(torch.autograd.Function):
    """Hands its first argument on, and lets the second be minimised beside the model's loss.

    Nothing needs to carry the term to the loss, through checkpoints and reversible blocks.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Tensor) -> Tensor:
        """x, as it is."""
        ctx.dtype = loss.dtype
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """d(total) / d(loss) = 1."""
        return grad, torch.ones((), dtype=ctx.dtype, device=grad.device)
