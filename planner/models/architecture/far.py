"""Feed-forwards of which only some nodes learn: Freeze And Reconfigure (FAR, arXiv 2205.01541).

Two stages. In *priming* the whole feed-forward learns for a few steps beside a copy of its weights
at the start; the nodes that moved most are the learners. Then each linear map is *reconfigured* to
two, of which one is frozen. A node is an output of a linear map: a row of its weight, and its bias.

The paper's text was not at hand: this follows its summaries (arXiv 2303.15647, section 9.3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from planner.models.architecture.feed_forward import Activation, DenseFeedForward


class SplitLinear(nn.Module):
    """y = permute([x W_t + b_t, x W_f + b_f]) with W_t [in, h'] that learns and W_f [in, h - h']
    that does not.

    Gradients and optimizer state are those of W_t and b_t alone. What is saved for backward is what
    a whole map saves: x, for W_t; and the concatenation exists beside its permutation meanwhile.
    """

    order: Tensor

    def __init__(self, in_features: int, out_features: int, learners: int, bias: bool) -> None:
        super().__init__()
        self.learners = nn.Linear(in_features, learners, bias=bias)
        self.frozen = nn.Linear(in_features, out_features - learners, bias=bias)
        self.frozen.requires_grad_(False)
        self.register_buffer("order", torch.arange(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """[.., in] -> [.., out], nodes where they were."""
        return torch.cat([self.learners(x), self.frozen(x)], dim=-1).index_select(-1, self.order)

    @classmethod
    def of(cls, linear: nn.Linear, learners: Tensor) -> SplitLinear:
        """The same map, with these of its nodes as learners."""
        nodes = torch.arange(linear.out_features, device=learners.device)
        others = nodes[~torch.isin(nodes, learners)]
        with learners.device:
            has_bias = linear.bias is not None
            split = cls(linear.in_features, linear.out_features, len(learners), has_bias)
        split.to(linear.weight.dtype)
        with torch.no_grad():
            for part, chosen in ((split.learners, learners), (split.frozen, others)):
                part.weight.copy_(linear.weight[chosen])
                if has_bias:
                    part.bias.copy_(linear.bias[chosen])
            split.order.copy_(torch.cat([learners, others]).argsort())
        return split


class FarFeedForward(nn.Module):
    """A dense feed-forward, both of whose maps are split by the same retention."""

    def __init__(self, up_proj: SplitLinear, activation: str, down_proj: SplitLinear) -> None:
        super().__init__()
        self.up_proj = up_proj
        self.activation = Activation(activation)
        self.down_proj = down_proj

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., H]."""
        output: Tensor = self.down_proj(self.activation(self.up_proj(x)))
        return output


class PrimingFeedForward(nn.Module):
    """A dense feed-forward that learns as a whole, and its weights as they were at the start.

    This stage decides a fine-tuning's peak: it has all gradients and optimizer state, and a copy of
    both matrices besides.
    """

    up_start: Tensor
    down_start: Tensor

    def __init__(self, dense: DenseFeedForward) -> None:
        super().__init__()
        self.feed_forward = dense
        for name, linear in zip(("up_start", "down_start"), _maps(dense), strict=True):
            self.register_buffer(name, linear.weight.detach().clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[.., H] -> [.., H]."""
        output: Tensor = self.feed_forward(x)
        return output

    def reconfigured(self, retention: float) -> FarFeedForward:
        """The same function, of whose nodes those that moved most go on learning."""
        starts = (self.up_start, self.down_start)
        up, down = (
            SplitLinear.of(linear, _most_moved(linear.weight, start, retention))
            for linear, start in zip(_maps(self.feed_forward), starts, strict=True)
        )
        return FarFeedForward(up, self.feed_forward.activation.name, down)


def _maps(dense: DenseFeedForward) -> tuple[nn.Linear, nn.Linear]:
    up, down = dense.up_proj, dense.down_proj
    assert isinstance(up, nn.Linear), "a map of low rank has no nodes"
    assert isinstance(down, nn.Linear), "a map of low rank has no nodes"
    return up, down


def far_feed_forward(
    hidden: int, intermediate: int, activation: str, bias: bool, retention: float
) -> FarFeedForward:
    """As reconfigured, the first nodes being the learners: which they are changes no byte."""
    up, down = (
        SplitLinear(inner, outer, retained(outer, retention), bias)
        for inner, outer in ((hidden, intermediate), (intermediate, hidden))
    )
    return FarFeedForward(up, activation, down)


def retained(nodes: int, retention: float) -> int:
    """h': how many of a map's nodes learn, rounded down but at least one."""
    return max(1, int(retention * nodes))


def learned(weight: Tensor, start: Tensor) -> Tensor:
    """||W_t - W_0||_1 of each node, [out]."""
    return (weight.detach() - start).abs().sum(1)


def _most_moved(weight: Tensor, start: Tensor, retention: float) -> Tensor:
    """Nodes by number, in order."""
    chosen = learned(weight, start).topk(retained(len(weight), retention)).indices
    return chosen.sort().values
