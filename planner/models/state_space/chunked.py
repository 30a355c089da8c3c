"""The selective scan in chunks: states are computed again in backward and never all kept.

Letters besides the package's: K chunks of C tokens each. All M = B K of them advance together, so
a pass along the tokens takes C steps and holds a few tensors [M, D, N], whatever S is.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from planner.models.state_space.autocast import without_autocast


def chunked_scan(
    u: Tensor, delta: Tensor, a_log: Tensor, b: Tensor, c: Tensor, *, chunk_size: int
) -> Tensor:
    """What `naive_scan` computes, keeping for backward only the state before each chunk.

    Besides its inputs that is B S D N / C numbers, and while it runs, forward or backward, it holds
    a few times as many. Factors exp(delta_t A) are only multiplied, never divided by, so nothing
    overflows where delta is positive.

    Args:
        u, delta: [B, S, D].
        a_log: [D, N].
        b, c: [B, S, N].
        chunk_size: C. Where it does not divide S, padded copies of u, delta, b and c are made.

    Returns:
        [B, S, D].
    """
    if u.is_meta and not torch.is_grad_enabled():
        return torch.empty_like(u)  # who asks for shapes need not wait for C steps
    batch, length, _ = u.shape
    size = min(chunk_size, length)
    missing = -length % size
    if missing:  # a token of delta 0 leaves the state as it is
        u, delta, b, c = (F.pad(x, (0, 0, 0, missing)) for x in (u, delta, b, c))
    u, delta, b, c = (x.reshape(-1, size, x.shape[-1]) for x in (u, delta, b, c))
    y: Tensor = _ChunkedScan.apply(u, delta, a_log, b, c, batch)  # type: ignore[no-untyped-call]
    return y.view(batch, length + missing, -1)[:, :length]


class _ChunkedScan(torch.autograd.Function):
    """Of u and delta [M, C, D], a_log [D, N], b and c [M, C, N], and the number B of sequences."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, a_log: Tensor, b: Tensor, c: Tensor, batch: int
    ) -> Tensor:
        a, x = -torch.exp(a_log), delta * u
        first = _first_states(delta, a, x, b, batch)
        ctx.save_for_backward(u, delta, a_log, b, c, first)
        ctx.batch = batch
        state, y = first, []
        for delta_t, x_t, b_t, c_t in _zipped(_columns(delta, x), _rows(b), _columns(c)):
            state = (x_t * b_t).addcmul_(_factor(delta_t, a), state)
            y.append(torch.bmm(state, c_t))
        return _joined(y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        u, delta, a_log, b, c, first = ctx.saved_tensors
        with without_autocast(grad.device):
            return *_gradients(grad, u, delta, a_log, b, c, first, ctx.batch), None


def _gradients(
    grad: Tensor, u: Tensor, delta: Tensor, a_log: Tensor, b: Tensor, c: Tensor, first: Tensor,
    batch: int,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Of u, delta, a_log, b and c, from that of y. With a_t = exp(delta_t A), x_t = delta_t u_t:

    - G_t = dL/dh_t has the recurrence G_t = dy_t C_t + a_{t+1} G_{t+1}.
    - W_t = dL/d(delta_t A) = G_t a_t h_{t-1} would need both recurrences at the same token. But
      as a_t h_{t-1} = h_t - x_t B_t, it has its own: W_t = W_{t+1} + dy_t C_t h_t - x_t B_t G_t.
      So one pass along h and one along G each give a part of sum_n A W, to be summed over a
      chunk's tokens from its end on, where W is known; neither pass keeps what it has seen.
    - A acts on every number of the state by itself, so dh_t/dA = V_t has no more numbers than h_t
      and goes along with it: V_t = a_t (V_{t-1} + delta_t h_{t-1}). Sums of W would lose digits.
    """
    a, x = -torch.exp(a_log), delta * u
    last, sensitivity, grad_a, read, grad_c = _along_states(first, a, delta, x, b, c, grad)
    after = _last_adjoints(delta, a, c, grad, batch)
    grad_a = grad_a.addcmul_(sensitivity, after).sum(0)
    at_end = last.mul_(after).mul_(a).sum(-1)  # sum_n A W of the token after each chunk
    del last, sensitivity
    grad_x, written, grad_b = _along_adjoints(after, a, delta, x, b, c, grad)
    parts = grad * read - x * written
    sums = parts.flip(1).cumsum(1).flip(1) + at_end.unsqueeze(1)
    return grad_x * delta, sums.addcmul_(grad_x, u), grad_a.mul_(a), grad_b, grad_c


def _along_states(
    first: Tensor, a: Tensor, delta: Tensor, x: Tensor, b: Tensor, c: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h and V at the end of each chunk, where V is 0 at its beginning; the chunks' own part of A's
    gradient [M, D, N]; sum_n A C_t h_t [M, C, D]; and the gradient of c.
    """
    state, sensitivity, grad_a = first, torch.zeros_like(first), torch.zeros_like(first)
    read, grad_c = [], []
    columns, rows = _columns(delta, x, grad, c), _rows(b, c, grad)
    for delta_t, x_t, grad_t, c_t, b_row, c_row, grad_row in _zipped(columns, rows):
        factor = _factor(delta_t, a)
        sensitivity.addcmul_(delta_t, state).mul_(factor)
        state = (x_t * b_row).addcmul_(factor, state)
        grad_a.addcmul_(sensitivity, grad_t * c_row)
        read.append(torch.bmm(state * a, c_t))
        grad_c.append(torch.bmm(grad_row, state))
    return state, sensitivity, grad_a, _joined(read), torch.cat(grad_c, dim=1)


def _along_adjoints(
    after: Tensor, a: Tensor, delta: Tensor, x: Tensor, b: Tensor, c: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From a_{t+1} G_{t+1} after each chunk, which is overwritten: the gradient of x,
    sum_n A B_t G_t [M, C, D], and the gradient of b.
    """
    grad_x, written, grad_b = [], [], []
    columns, rows = _columns(delta, grad, b), _rows(c, x)
    for delta_t, grad_t, b_t, c_row, x_row in reversed(_zipped(columns, rows)):
        adjoint = after.addcmul_(grad_t, c_row)
        grad_x.append(torch.bmm(adjoint, b_t))
        written.append(torch.bmm(adjoint * a, b_t))
        grad_b.append(torch.bmm(x_row, adjoint))
        after = _factor(delta_t, a).mul_(adjoint)
    return _joined(grad_x[::-1]), _joined(written[::-1]), torch.cat(grad_b[::-1], dim=1)


def _first_states(delta: Tensor, a: Tensor, x: Tensor, b: Tensor, batch: int) -> Tensor:
    """h before each chunk, [M, D, N]."""
    state = delta.new_zeros(len(delta), *a.shape)
    for delta_t, x_t, b_t in _zipped(_columns(delta, x), _rows(b)):
        state = (x_t * b_t).addcmul_(_factor(delta_t, a), state)
    return _into_chunks(state, _factor(delta.sum(1).unsqueeze(-1), a), batch)


def _last_adjoints(delta: Tensor, a: Tensor, c: Tensor, grad: Tensor, batch: int) -> Tensor:
    """a_{t+1} G_{t+1} for the last token t of each chunk, [M, D, N]."""
    after = delta.new_zeros(len(delta), *a.shape)
    for delta_t, grad_t, c_t in reversed(_zipped(_columns(delta, grad), _rows(c))):
        after.addcmul_(grad_t, c_t)
        after = _factor(delta_t, a).mul_(after)
    # From the last chunk of the last sample to the first chunk of the first.
    factors = _factor(delta.sum(1).unsqueeze(-1), a)
    return _into_chunks(after.flip(0), factors.flip(0), batch).flip(0)


def _into_chunks(ends: Tensor, factors: Tensor, batch: int) -> Tensor:
    """What comes into each chunk, from what leaves it where nothing comes in and from the factor
    of what comes in, [M, D, N] each; both are overwritten.

    A prefix scan by doubling (Hillis and Steele 1986): in log2 K steps each chunk has the sum over
    the last 2, 4, 8, ... chunks.
    """
    ends, factors = (torch.unflatten(each, 0, (batch, -1)) for each in (ends, factors))
    near, chunks = 1, ends.shape[1]
    while near < chunks:
        ends[:, near:].add_(factors[:, near:] * ends[:, :-near])
        factors[:, near:].mul_(factors[:, :-near].clone())
        near *= 2
    return F.pad(ends[:, :-1], (0, 0, 0, 0, 1, 0)).flatten(0, 1)


def _factor(delta: Tensor, a: Tensor) -> Tensor:
    """exp(delta A): [M, D, 1] and [D, N] -> [M, D, N]."""
    return (delta * a).exp_()


def _columns(*chunks: Tensor) -> list[tuple[Tensor, ...]]:
    """[M, C, n] each -> views [M, n, 1] of each of C tokens."""
    return [each.unsqueeze(-1).unbind(1) for each in chunks]


def _rows(*chunks: Tensor) -> list[tuple[Tensor, ...]]:
    """[M, C, n] each -> views [M, 1, n] of each of C tokens."""
    return [each.unsqueeze(2).unbind(1) for each in chunks]


def _zipped(*tokens: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Of each of C tokens everything."""
    return list(zip(*chain.from_iterable(tokens), strict=True))


def _joined(columns: list[Tensor]) -> Tensor:
    """C tensors [M, n, 1] -> [M, C, n]."""
    return torch.stack(columns, dim=1).squeeze(-1)
