"""Swin: attention within windows of patches, shifted in every other block (arXiv 2103.14030)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PatchWindows(nn.Module):
    """An attention over each window of M x M patches, as if windows were samples.

    Shifted windows wrap around the image; a mask of `WindowMixer` hides what is no neighbour
    (section 3.2, efficient batch computation).

    Args:
        attention: [B n, M M, H] -> the same, n = S / (M M) windows of a sample being neighbours.
        grid: rows and columns of patches, multiples of M.
    """

    def __init__(
        self, attention: nn.Module, grid: tuple[int, int], window: int, shift: int
    ) -> None:
        super().__init__()
        self.attention = attention
        self.grid = grid
        self.window = window
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        image = torch.unflatten(x, 1, self.grid)
        if self.shift:
            image = image.roll((-self.shift, -self.shift), dims=(1, 2))
        mixed = self.attention(windows_of(image, self.window))
        image = self._image(mixed)
        if self.shift:
            image = image.roll((self.shift, self.shift), dims=(1, 2))
        return image.flatten(1, 2)

    def _image(self, windows: Tensor) -> Tensor:
        """[B n, M M, H] -> [B, rows, columns, H]."""
        size = self.window
        rows, columns = self.grid[0] // size, self.grid[1] // size
        x = windows.view(-1, rows, columns, size, size, windows.shape[-1])
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def windows_of(image: Tensor, size: int) -> Tensor:
    """[B, rows, columns, H] -> [B n, M M, H]."""
    x = torch.unflatten(torch.unflatten(image, 2, (-1, size)), 1, (-1, size))
    return x.transpose(2, 3).flatten(3, 4).flatten(0, 2)


class WindowMixer(nn.Module):
    """softmax(Q K^T / sqrt d + bias) V in windows; scores [B n, A, M M, M M] and their softmax.

    Scores get a learned bias for each head and distance of (2 M - 1)^2 (section 3.2).
    """

    index: Tensor
    hidden: Tensor | None

    def __init__(self, num_heads: int, grid: tuple[int, int], window: int, shift: int) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.empty((2 * window - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.biases, std=0.02)
        self.register_buffer("index", _distances(window), persistent=False)
        hidden = _hidden(grid, window, shift) if shift else None
        self.register_buffer("hidden", hidden, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B n, A, M M, d] each -> [B n, A, M M, d]."""
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        bias = self.biases[self.index].permute(2, 0, 1).to(scores.dtype)
        scores = scores + bias
        if self.hidden is not None:
            by_window = torch.unflatten(scores, 0, (-1, len(self.hidden)))
            scores = by_window.masked_fill(self.hidden, -math.inf).flatten(0, 1)
        return scores.softmax(-1) @ v


def _distances(window: int) -> Tensor:
    """[M M, M M]: for each pair of patches the row of `biases` that its distance has."""
    places = torch.arange(window)
    row, column = (x.flatten() for x in torch.meshgrid(places, places, indexing="ij"))
    rows = row[:, None] - row + window - 1
    columns = column[:, None] - column + window - 1
    return rows * (2 * window - 1) + columns


def _hidden(grid: tuple[int, int], window: int, shift: int) -> Tensor:
    """[n, 1, M M, M M], true for pairs that met only because shifted windows wrap around."""
    region = [_regions(size, window, shift) for size in grid]
    image = region[0][:, None] * 3 + region[1]
    regions = windows_of(image[None, :, :, None], window).squeeze(-1)
    return (regions[:, :, None] != regions[:, None, :]).unsqueeze(1)


def _regions(size: int, window: int, shift: int) -> Tensor:
    """[size]: 0 before the last window, in it 1, and 2 for what came around."""
    places = torch.arange(size)
    return (places >= size - window).long() + (places >= size - shift).long()
