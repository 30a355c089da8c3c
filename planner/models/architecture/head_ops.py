"""FlexiBERT: heads of one layer with different operations (arXiv 2205.11656, section 3.1)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from planner.architecture.attention import ConvolutionHead, Head, Heads, TransformHead
from planner.models.architecture.dense import EagerMixer, SdpaMixer
from planner.models.architecture.fourier import FourierMixer


class WeightedMixer(nn.Module):
    """softmax(Q W K^T / sqrt d) V with a matrix W [d, d] a head (weighted multiplicative attention,
    Luong et al., arXiv 1508.04025).

    Args:
        mixer: of dense attention.
    """

    def __init__(self, num_heads: int, head_dim: int, mixer: nn.Module) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_heads, head_dim, head_dim))
        nn.init.uniform_(self.weight, -0.1, 0.1)  # as the authors' code (jha-lab)
        self.mixer = mixer

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        mixed: Tensor = self.mixer(q @ self.weight, k, v)
        return mixed


class CosineMixer(nn.Module):
    """The 2-D cosine transform of type II, without norm, over tokens and width, in fp32."""

    def forward(self, x: Tensor) -> Tensor:
        """[.., S, d] -> [.., S, d]."""
        mixed = cosine_transform(x.float())
        return cosine_transform(mixed.transpose(-1, -2)).transpose(-1, -2).to(x.dtype)


def cosine_transform(x: Tensor) -> Tensor:
    """X_k = 2 sum_n x_n cos(pi (2 n + 1) k / (2 N)) over the last dimension, by one FFT of N.

    Makhoul 1980, A fast cosine transform in one and two dimensions: the FFT of even places followed
    by odd ones backwards, turned by k quarter-steps. Complex numbers take twice the input's bytes.
    """
    size = x.shape[-1]
    spectrum = torch.fft.fft(torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], dim=-1))
    angles = torch.arange(size, dtype=x.dtype, device=x.device) * (-math.pi / (2 * size))
    mixed: Tensor = 2 * (spectrum.real * angles.cos() - spectrum.imag * angles.sin())
    return mixed


class SpanConvolution(nn.Module):
    """Span-based dynamic convolution (ConvBERT, arXiv 2008.02496, section 3.2), head by head.

    A separable convolution of the keys, times the queries, makes a kernel of K numbers for each
    token, whose softmax weighs the K values around it. Values are gathered [B, A, S, d, K].
    """

    def __init__(self, num_heads: int, head_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        width = num_heads * head_dim
        self.depthwise = nn.Conv1d(
            width, width, kernel_size, padding=kernel_size // 2, groups=width, bias=False
        )
        self.pointwise = nn.Parameter(torch.empty(num_heads, head_dim, head_dim))
        self.pointwise_bias = nn.Parameter(torch.zeros(num_heads, 1, head_dim))
        self.kernel = nn.Parameter(torch.empty(num_heads, head_dim, kernel_size))
        self.kernel_bias = nn.Parameter(torch.zeros(num_heads, 1, kernel_size))
        self.value = nn.Parameter(torch.empty(num_heads, head_dim, head_dim))
        self.value_bias = nn.Parameter(torch.zeros(num_heads, 1, head_dim))
        for weight in (self.pointwise, self.kernel, self.value):
            nn.init.normal_(weight, std=head_dim**-0.5)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        heads = q.shape[1]
        spans = self.depthwise(k.transpose(2, 3).flatten(1, 2))
        spans = torch.unflatten(spans, 1, (heads, -1)).transpose(2, 3)
        spans = spans @ self.pointwise + self.pointwise_bias
        kernels = ((spans * q) @ self.kernel + self.kernel_bias).softmax(-1)
        half = self.kernel_size // 2
        values = F.pad(v @ self.value + self.value_bias, (0, 0, half, half))
        around = values.unfold(2, self.kernel_size, 1)
        return (around @ kernels.unsqueeze(-1)).squeeze(-1)


class HeadsMixer(nn.Module):
    """Some heads by one operation, the next ones by another.

    Args:
        scored: operations on Q, K and V, each with its number of heads.
        transforms: operations on V alone, each with its number of heads.
    """

    def __init__(
        self,
        scored: Sequence[tuple[int, nn.Module]],
        transforms: Sequence[tuple[int, nn.Module]],
    ) -> None:
        super().__init__()
        self.scored = nn.ModuleList([mixer for _, mixer in scored])
        self.transforms = nn.ModuleList([mixer for _, mixer in transforms])
        self.scored_heads = [count for count, _ in scored]
        self.transform_heads = [count for count, _ in transforms]

    def forward(self, q: Tensor | None, k: Tensor | None, v: Tensor) -> Tensor:
        """[B, A_scored, S, d] twice, [B, A, S, d] -> [B, A, S, d]."""
        values = torch.split(v, [*self.scored_heads, *self.transform_heads], dim=1)
        mixed = []
        if q is not None and k is not None:
            queries, keys = (torch.split(x, self.scored_heads, dim=1) for x in (q, k))
            mixed += [
                mixer(*qkv) for mixer, *qkv in zip(self.scored, queries, keys, values, strict=False)
            ]
        mixed += [
            transform(x)
            for transform, x in zip(self.transforms, values[len(self.scored_heads) :], strict=True)
        ]
        return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=1)


class HeadsAttention(nn.Module):
    """y = concat(head_i) W_O, heads of one operation side by side.

    Queries and keys are made for those heads only that score by them; the authors' code makes them
    for all, since it adds attention by relative positions to every head, which is not built here.
    """

    def __init__(self, hidden: int, head_dim: int, mixer: HeadsMixer, *, bias: bool) -> None:
        super().__init__()
        scored = sum(mixer.scored_heads) * head_dim
        width = scored + sum(mixer.transform_heads) * head_dim
        self.q_proj = nn.Linear(hidden, scored, bias=bias) if scored else None
        self.k_proj = nn.Linear(hidden, scored, bias=bias) if scored else None
        self.v_proj = nn.Linear(hidden, width, bias=bias)
        self.mixer = mixer
        self.out_proj = nn.Linear(width, hidden, bias=bias)
        self.head_dim = head_dim

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        q, k, v = (
            None if proj is None else self._split(proj(x))
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = self.mixer(q, k, v)
        output: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return output

    def _split(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, -1, (-1, self.head_dim)).transpose(1, 2)


def build_heads(hidden: int, spec: Heads) -> HeadsAttention:
    """The module of a description; heads of one operation are computed at once."""
    head_dim = spec.head_dim or hidden // len(spec.heads)
    counts = Counter(spec.heads)
    scored = [
        (count, _scored(head, count, head_dim, spec))
        for head, count in counts.items()
        if not isinstance(head, TransformHead)
    ]
    transforms: list[tuple[int, nn.Module]] = [
        (count, FourierMixer() if head.op == "dft" else CosineMixer())
        for head, count in counts.items()
        if isinstance(head, TransformHead)
    ]
    return HeadsAttention(hidden, head_dim, HeadsMixer(scored, transforms), bias=spec.bias)


def _scored(head: Head, count: int, head_dim: int, spec: Heads) -> nn.Module:
    if isinstance(head, ConvolutionHead):
        return SpanConvolution(count, head_dim, head.kernel_size)
    dense = SdpaMixer if spec.implementation == "sdpa" else EagerMixer
    mixer = dense(causal=False, dropout=spec.attention_dropout)
    return mixer if head.op == "sdp" else WeightedMixer(count, head_dim, mixer)
