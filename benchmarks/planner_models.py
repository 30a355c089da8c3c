"""Plain `nn.Module` models of the planner's benchmark: forward takes the inputs, returns the loss.

The GPT is the one of the published figures that the benchmark reproduces: no dropout, attention
written out (two `bmm` and a softmax), so that a block saves 40 MiB at its default sizes:
input 2, first norm 2, q, k and v 6, softmax 8, attended values 2, residual 2, second norm 2,
hidden 8, GELU 8. Inductor knows this very formulation (`_sfdp_pattern_5`, or 1 without a mask;
torch/_inductor/fx_passes/fuse_attention.py) and replaces it by fused attention; with `* scale` or
`masked_fill` it would not. The loss is the cross-entropy written out as `logsumexp` less the
target's logit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Inputs = dict[str, Tensor]


class Attention(nn.Module):
    """Self-attention, written out."""

    mask: Tensor | None

    def __init__(self, width: int, heads: int, causal_length: int | None) -> None:
        super().__init__()
        self.heads = heads
        self.fused = False  # a benchmark's method may turn it on
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        mask = None
        if causal_length is not None:
            mask = torch.full((causal_length, causal_length), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each sequence of the batch."""
        batch, length, width = x.shape
        parts = self.qkv(x).split(width, dim=2)
        q, k, v = (
            part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in parts
        )
        mask = None if self.mask is None else self.mask[:length, :length]
        if self.fused:
            y = functional.scaled_dot_product_attention(q, k, v, mask)
        else:
            scores = (q @ k.transpose(-2, -1)) / (width // self.heads) ** 0.5
            y = (scores if mask is None else scores + mask).softmax(-1) @ v
        return self.projection(y.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, causal_length: int | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal_length)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Attention, then the feed-forward part, each beside a residual."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """A decoder whose head is not tied to its embedding."""

    def __init__(
        self, layers: int, width: int = 256, heads: int = 4, vocabulary: int = 1000,
        length: int = 256,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads, length) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of the next tokens."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return cross_entropy(self.head(self.norm(x)), targets)


class ViT(nn.Module):
    """A vision transformer that classifies by the mean of its patches."""

    def __init__(
        self, layers: int = 12, width: int = 768, heads: int = 12, image: int = 224,
        patch: int = 16, classes: int = 1000,
    ) -> None:  # fmt: skip
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.zeros((image // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, None) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of the classes."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return cross_entropy(self.head(self.norm(x).mean(1)), targets)


class DoubleConvolution(nn.Sequential):
    """Twice: convolution, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(*self._half(inputs, outputs), *self._half(outputs, outputs))

    @staticmethod
    def _half(inputs: int, outputs: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return [convolution, nn.GroupNorm(8, outputs), nn.ReLU()]


class Up(nn.Module):
    """Enlarge, join the skip connection, convolve."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.convolve = DoubleConvolution(2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """The level's output, of the skip connection's size."""
        return self.convolve(torch.cat((self.enlarge(x), skip), 1))


class UNet(nn.Module):
    """Levels down, a bottom, levels up; segmentation loss per pixel."""

    def __init__(self, levels: int = 4, width: int = 32, classes: int = 4) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(
            DoubleConvolution(before, after)
            for before, after in zip([3, *widths], widths[:-1], strict=False)
        )
        self.bottom = DoubleConvolution(widths[-2], widths[-1])
        self.up = nn.ModuleList(
            Up(widths[level + 1], widths[level]) for level in reversed(range(levels))
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of the pixels."""
        x, skips = images, []
        for block in self.down:
            skips.append(block(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for block in self.up:
            x = block(x, skips.pop())
        return functional.cross_entropy(self.head(x), targets)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Written out: it holds four tensors of the logits' size at its peak, as the figures do."""
    total = logits.logsumexp(-1)
    return (total - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)).mean()


@dataclass(frozen=True)
class Case:
    """A model of the benchmark.

    Attributes:
        units: paths of the blocks that checkpointing chooses among, in the order of forward.
    """

    title: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    units: tuple[str, ...]


def _texts(batch: int, length: int, vocabulary: int) -> Inputs:
    shape = (batch, length)
    return {
        "tokens": torch.randint(vocabulary, shape),
        "targets": torch.randint(vocabulary, shape),
    }


def gpt(
    layers: int, batch: int = 8, length: int = 256, width: int = 256, heads: int = 4,
    vocabulary: int = 1000,
) -> Case:  # fmt: skip
    """The GPT of the published figures, or a larger one."""
    return Case(
        f"GPT, {layers} layers of width {width}, vocabulary {vocabulary}, batch {batch} x {length}",
        lambda: GPT(layers, width, heads, vocabulary, length),
        lambda: _texts(batch, length, vocabulary),
        tuple(f"blocks.{index}" for index in range(layers)),
    )


def gpt_medium(width: int = 1024, length: int = 256) -> Case:
    """Of GPT-2 medium's shape: 24 layers and 16 heads."""
    return gpt(24, batch=1, length=length, width=width, heads=16, vocabulary=50257)


def vit(batch: int = 2, width: int = 768) -> Case:
    """Of ViT-B/16's shape."""
    return Case(
        f"ViT, 12 layers of width {width}, batch {batch} x 3 x 224 x 224",
        lambda: ViT(width=width),
        lambda: {
            "images": torch.randn(batch, 3, 224, 224),
            "targets": torch.randint(1000, (batch,)),
        },
        tuple(f"blocks.{index}" for index in range(12)),
    )


def unet(batch: int = 2, size: int = 192) -> Case:
    """Four levels and a bottom."""
    down = tuple(f"down.{index}" for index in range(4))
    return Case(
        f"U-Net, 4 levels from width 32, batch {batch} x 3 x {size} x {size}",
        UNet,
        lambda: {
            "images": torch.randn(batch, 3, size, size),
            "targets": torch.randint(4, (batch, size, size)),
        },
        (*down, "bottom", *(f"up.{index}" for index in range(4))),
    )


CASES: dict[str, Callable[[], Case]] = {
    "gpt4": lambda: gpt(4),
    "gpt12": lambda: gpt(12),
    "gpt24": gpt_medium,
    "vit": vit,
    "unet": unet,
}


def make(name: str, seed: int = 0) -> tuple[Case, nn.Module, dict[str, Any]]:
    """Case, model and inputs, equal for equal seeds."""
    case = CASES[name]()
    torch.manual_seed(seed)
    return case, case.build(), case.inputs()
