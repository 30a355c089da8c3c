"""Compressed sensing: random projections of sparse vectors, and getting the vectors back.

Orthogonal matching pursuit (Pati et al. 1993; Tropp and Gilbert 2007, IEEE Trans. Inf. Theory 53)
for many vectors at once. Each of s rounds takes, for every vector, the column of A that correlates
most with what is left, and takes its share out; columns are made orthogonal as they come (modified
Gram-Schmidt), so the least squares over all columns taken is a triangular system at the end. All
shapes are static: s rounds whatever the numbers are.
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_projection(length: int, size: int, seed: int, device: torch.device) -> Tensor:
    """A^T [length, size] (fp32): Gaussian rows of norm 1, the same for the same arguments.

    Drawn on the host, so that it is the same on every device.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn((length, size), generator=generator).to(device)
    return rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True))


def sparse_projection(rows: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """A x [c, k] of c sparse vectors.

    Args:
        rows: A^T [n, k].
        indices, values: [c, s].
    """
    return torch.bmm(values.unsqueeze(1), _rows_at(rows, indices)).squeeze(1)


def matching_pursuit(
    rows: Tensor, targets: Tensor, sparsity: int, length: int
) -> tuple[Tensor, Tensor]:
    """Sparse x with A x close to each target: positions and values, [c, s] each.

    Time O(s c n k); alive besides the results: c n + 2 c s k numbers.

    Args:
        rows: A^T [n, k], of unit norm.
        targets: [c, k].
        sparsity: s <= k, numbers of x that are not zero.
        length: of the c n positions, how many are in use; the rest is taken last.
    """
    count, size = targets.shape
    left = targets.clone()
    basis = targets.new_zeros(count, sparsity, size)
    triangle = targets.new_zeros(count, sparsity, sparsity)
    taken: list[Tensor] = []
    for place in range(sparsity):
        column = _best(rows, left, taken, length)
        taken.append(column)
        direction = rows.index_select(0, column)
        earlier = basis[:, :place]
        for _ in range(2 if place else 0):  # twice is enough (Giraud et al. 2005)
            shares = torch.bmm(earlier, direction.unsqueeze(2))
            triangle[:, :place, place] += shares.squeeze(2)
            direction -= torch.bmm(shares.mT, earlier).squeeze(1)
        norm = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
        triangle[:, place, place] = norm.squeeze(1)
        basis[:, place] = direction.div_(norm)
        share = (direction * left).sum(1, keepdim=True)
        left.addcmul_(direction, share, value=-1)
    shares = torch.bmm(basis, targets.unsqueeze(2))
    values = torch.linalg.solve_triangular(triangle, shares, upper=True).squeeze(2)
    return torch.stack(taken, dim=1), values


def _best(rows: Tensor, left: Tensor, taken: list[Tensor], length: int) -> Tensor:
    """[c] positions of the rows that correlate most with what is left, none twice."""
    scores = torch.mm(left, rows.t()).abs_()
    scores.view(-1)[length:] = 0
    for column in taken:
        scores.scatter_(1, column.unsqueeze(1), -1.0)
    return scores.argmax(1)


def _rows_at(rows: Tensor, indices: Tensor) -> Tensor:
    """[c, s, k] rows at positions [c, s]."""
    return rows.index_select(0, indices.view(-1)).view(*indices.shape, -1)
