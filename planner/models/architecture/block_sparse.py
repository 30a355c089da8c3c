"""Attention between blocks of tokens: window, global and random (BigBird, arXiv 2007.14062)."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from planner.models.architecture.scores import attend


class BlockSparseMixer(nn.Module):
    """Each block of b queries attends to the n blocks of keys that a fixed table names.

    Keys and values are gathered, [B, A, S/b, n b, d] each, and scores are [B, A, S/b, b, n b].
    Queries of the global blocks see all keys, [B, A, g b, S] scores more. Random blocks are drawn
    once, by a generator of fixed seed, the same for all heads.

    Args:
        blocks: S / b of the sequences that the table is made for; others do not fit it.
    """

    table: Tensor
    absent: Tensor

    def __init__(
        self,
        block_size: int,
        blocks: int,
        window_blocks: int,
        global_blocks: int,
        random_blocks: int,
        causal: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.block_size = block_size
        self.global_blocks = min(global_blocks, blocks)
        self.causal = causal
        rows = _table(blocks, window_blocks, global_blocks, random_blocks, causal, seed)
        width = max(map(len, rows))
        # A row with fewer blocks names block 0 again, and a mask takes it away.
        table = [row + [0] * (width - len(row)) for row in rows]
        absent = [[False] * len(row) + [True] * (width - len(row)) for row in rows]
        self.register_buffer("table", torch.tensor(table), persistent=False)
        self.register_buffer("absent", torch.tensor(absent), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """[B, A, S, d] each -> [B, A, S, d]."""
        queries, keys, values = (torch.unflatten(x, 2, (-1, self.block_size)) for x in (q, k, v))
        table = self.table
        hidden = self._hidden(table, self.absent)
        mixed = attend(queries, keys[:, :, table].flatten(3, 4), values[:, :, table].flatten(3, 4),
                       hidden).flatten(2, 3)  # fmt: skip
        first = self.global_blocks * self.block_size
        if self.causal or not first:
            return mixed  # before a global block there are global blocks only
        return torch.cat([attend(q[:, :, :first], k, v, None), mixed[:, :, first:]], dim=2)

    def _hidden(self, table: Tensor, absent: Tensor) -> Tensor:
        """[S/b, b or 1, n b], true where a query does not see a key of its blocks."""
        hidden = absent[:, None, :, None].expand(-1, -1, -1, self.block_size).flatten(2)
        if not self.causal:
            return hidden
        within = torch.arange(self.block_size, device=table.device)
        keys = (table[:, :, None] * self.block_size + within).flatten(1)[:, None]
        own = torch.arange(len(table), device=table.device)[:, None] * self.block_size + within
        return hidden | (keys > own[:, :, None])


def _table(
    blocks: int, window: int, global_blocks: int, random_blocks: int, causal: bool, seed: int
) -> list[list[int]]:
    """For each block of queries, the blocks of keys that it sees, each named once."""
    generator = random.Random(seed)
    rows = []
    for block in range(blocks):
        last = block if causal else blocks - 1
        near = range(max(0, block - window // 2), min(last, block + window // 2) + 1)
        seen = {*near, *range(min(global_blocks, last + 1))}
        others = [other for other in range(last + 1) if other not in seen]
        drawn = generator.sample(others, min(random_blocks, len(others)))
        rows.append([*sorted(seen), *sorted(drawn)])
    return rows
