"""Numerical Pruning (arXiv 2412.12441): which inputs of a linear layer to keep, by Newton's method,
and how the weights that stay make up for those that go. Training-free.

With weights W [D, out] and calibration inputs X [tokens, D], a mask z in [0, 1]^D minimises

    1/2 ||X W - X (z . W)||^2 + lambda/2 (<1, z> - r)^2

whose Hessian is H = (W W^T) o (X^T X) + lambda 1 1^T and whose gradient is
(W W^T) o (X^T X) (z - 1) + lambda (<1, z> - r) 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 50
"""Of Newton's method (the paper's T)."""

DAMPING = 1e-4
"""Share of the mean diagonal that is added to it, so that matrices can be inverted. The paper adds
gamma I without giving gamma; GPTQ adds 1e-2 of it (arXiv 2210.17323, section 3.3), for fp32 less
is enough.
"""

_SHORTEST_STEP = 2.0**-20


def newton_scores(weight: Tensor, gram: Tensor, kept: int) -> Tensor:
    """z [D]: how much of each input should stay if `kept` of D may.

    The objective is quadratic, so its Hessian is factorised once; after each step z is put back
    between 0 and 1, and a step that makes the objective larger is halved. O(D^3) for the factor
    and O(D^2) a step; three D x D matrices are alive at once.

    Args:
        weight: W, [D, out], fp32.
        gram: X^T X, [D, D], fp32.
        kept: r.
    """
    curvature = weight @ weight.T
    curvature *= gram
    # lambda is free in the paper; with the mean curvature neither term drowns the other.
    penalty = curvature.diagonal().mean().clamp_min(torch.finfo(curvature.dtype).tiny)
    hessian = curvature + penalty
    hessian.diagonal().add_(DAMPING * penalty)
    factor = torch.linalg.cholesky(hessian)
    del hessian
    z = torch.full_like(curvature[0], kept / len(curvature))
    value = objective(z, curvature, penalty, kept)
    for _ in range(ITERATIONS):
        slope = curvature @ (z - 1) + penalty * (z.sum() - kept)
        step = torch.cholesky_solve(slope[:, None], factor).squeeze(1)
        nearer = _descend(z, step, value, curvature, penalty, kept)
        if nearer is None:
            break
        z, value = nearer
    return z


def _descend(
    z: Tensor, step: Tensor, value: Tensor, curvature: Tensor, penalty: Tensor, kept: int
) -> tuple[Tensor, Tensor] | None:
    """The longest of the halved steps that lowers the objective; None where none does."""
    length = 1.0
    while length > _SHORTEST_STEP:
        candidate = (z - length * step).clamp_(0, 1)
        lower = objective(candidate, curvature, penalty, kept)
        if lower < value:
            return candidate, lower
        length /= 2
    return None


def objective(z: Tensor, curvature: Tensor, penalty: Tensor, kept: int) -> Tensor:
    """What `newton_scores` minimises; `curvature` is (W W^T) o (X^T X)."""
    missing = 1 - z
    return (missing @ curvature @ missing + penalty * (z.sum() - kept).square()) / 2


def compensated(weight: Tensor, gram: Tensor, pruned: Tensor) -> Tensor:
    """W + dW*, [D, out]: the pruned rows zero, the others changed so that X (W + dW*) comes nearest
    to X W.

    dW* = -A^-1 M (M^T A^-1 M)^-1 M^T W with A = 2 X^T X and M the columns of the identity that are
    pruned: the least squares under the condition that these rows vanish.

    Args:
        weight: W, [D, out], fp32.
        gram: X^T X, [D, D], fp32.
        pruned: numbers of the rows that go, int64.
    """
    a = 2 * gram
    a.diagonal().add_((DAMPING * a.diagonal().mean()).clamp_min(torch.finfo(a.dtype).tiny))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(a))
    columns = inverse[:, pruned]
    change = columns @ torch.linalg.solve(columns[pruned], weight[pruned])
    result: Tensor = weight - change
    result[pruned] = 0  # what rounding leaves
    return result
