"""Gradients of matrices in the space of their largest singular vectors (GaLore, arXiv 2403.03507).

The projector of a gradient [m, n] is made of its shorter side: [r, n] of right singular vectors
where m >= n, else [m, r] of left ones, so moments are [m, r] or [r, n] (section 3, "GaLore"; the
side as in the authors' `galore_projector.py`, `proj_type="std"`). The authors' code keeps a view of
the whole matrix of singular vectors; here the projector is a tensor of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor


def has_low_rank(gradient: Tensor, rank: int) -> bool:
    """Whether a projection to the rank makes it smaller: a matrix that is wider and higher."""
    return gradient.dim() == 2 and rank < min(gradient.shape)


def projector_of(gradient: Tensor, rank: int) -> Tensor:
    """[r, n] or [m, r] (fp32), orthonormal, of a gradient [m, n] in fp32."""
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    rows, columns = gradient.shape
    chosen: Tensor = right[:rank] if rows >= columns else left[:, :rank]
    return chosen.clone(memory_format=torch.contiguous_format)


def project(gradient: Tensor, projector: Tensor) -> Tensor:
    """[m, n] -> [m, r] or [r, n]."""
    if _is_right(gradient):
        return gradient @ projector.t()
    return projector.t() @ gradient


def project_back(low: Tensor, projector: Tensor, shape: torch.Size) -> Tensor:
    """[m, r] or [r, n] -> the full shape [m, n]."""
    return low @ projector if shape[0] >= shape[1] else projector @ low


def _is_right(gradient: Tensor) -> bool:
    return gradient.shape[0] >= gradient.shape[1]
