"""softmax(Q K^T / sqrt d) V of small blocks, for kinds of attention that cut sequences up."""

from __future__ import annotations

import math

from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None) -> Tensor:
    """[.., n, d], [.., m, d], [.., m, d] -> [.., n, d].

    Args:
        hidden: true for pairs [n, m] that do not see each other; every query must see a key.
    """
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(-1) @ v
