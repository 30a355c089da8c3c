"""A small model that several tests apply strategies to, and what a step of it gives."""

import torch
import torch.nn.functional as F
from torch import nn

from planner.strategy import Strategy, UnitChoice


class Attention(nn.Module):
    def __init__(self, width, heads=2, dropout=0.1):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.heads, self.dropout = heads, dropout

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(*parts, dropout_p=dropout, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    def __init__(self, width, dropout=0.1):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, dropout=dropout)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return x + self.mlp(x)


class Toy(nn.Module):
    """Blocks one after the other; hidden states of the MLP are large enough to be offloaded."""

    def __init__(self, blocks=6, width=32, dropout=0.1):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(blocks))
        self.final = nn.Linear(width, width)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.final(x).square().mean()


def toy(seed=0, **sizes):
    torch.manual_seed(seed)
    return Toy(**sizes)


def batch(width=32, length=64):
    return torch.randn(2, length, width, generator=torch.Generator().manual_seed(1))


def gradients(model, x, autocast=None):
    """The loss and the gradients of one step, dropout drawn from the same seed each time."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(7)
    with torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
        loss = model(x)
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


def same(one, other):
    """Whether two results of `gradients` agree in every bit."""
    return torch.equal(one[0], other[0]) and all(
        torch.equal(gradient, other[1][name]) for name, gradient in one[1].items()
    )


def recompute(*paths, through=None):
    return Strategy(
        units=[UnitChoice(module=path, through=through, action="recompute") for path in paths]
    )


def selective(path, *save):
    return Strategy(units=[UnitChoice(module=path, action="selective", save=list(save))])
