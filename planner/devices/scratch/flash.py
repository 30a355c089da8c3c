"""Flash attention: fp32 accumulators beside the outputs, in forward (split keys) and backward."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor

from planner.devices.scratch.table import (
    UNDATED,
    Call,
    Sizes,
    ceil_div,
    contiguous,
    entry,
    is_deterministic,
    main_at,
    round_up,
    size_bytes,
)

aten = torch.ops.aten
_API = "aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp"
_VERSION = f"{main_at('ef3d5c9ebba1')}; head sizes and batch 0 from {UNDATED}"


def _rounded_head(head: int) -> int:
    """head_size_rounded: 32 up to 128, then 64 (the older commit read has 32 throughout)."""
    return round_up(head, 32 if head <= 128 else 64)


@entry(
    aten._scaled_dot_product_flash_attention.default,
    aten._flash_attention_forward.default,
    what="where one wave of blocks would leave multiprocessors idle (few heads, short queries, "
    "long keys), keys are split: fp32 partial outputs and their log-sum-exps",
    formula="splits x batch x heads x queries x 4 x (1, head rounded up to 32, above 128 to 64), "
    "splits > 1 by num_splits_heuristic; one query against grouped keys counts the groups as "
    "queries; none with dropout; none for ragged sequences, but one query each",
    source=f"{_API}: mha_fwd, set_params_splitkv, num_splits_heuristic",
    version=_VERSION,
    limitation="head dimensions that are no multiple of 8 are padded by the caller",
)
def _forward(call: Call) -> Sizes:
    query, key = call["query"], call["key"]
    if query.dim() == 3:
        return _ragged_forward(call)
    if call.func is aten._scaled_dot_product_flash_attention.default:
        query, key = query.transpose(1, 2), key.transpose(1, 2)
    batch, queries, heads, head = query.shape
    keys, key_heads = key.shape[1:3]
    return _split_sizes(call, batch, queries, heads, key_heads, keys, head)


def _ragged_forward(call: Call) -> Sizes:
    """`mha_varlen_fwd` splits keys only for one query a sequence against grouped keys."""
    query, key = call["query"], call["key"]
    batch = call["cum_seq_q"].numel() - 1
    heads, key_heads, head = query.shape[1], key.shape[-2], query.shape[2]
    if call["max_q"] != 1 or heads == key_heads:
        return ()
    return _split_sizes(call, batch, 1, heads, key_heads, call["max_k"], head)


def _split_sizes(
    call: Call, batch: int, queries: int, heads: int, key_heads: int, keys: int, head: int
) -> Sizes:
    if call["dropout_p"] != 0 or batch == 0 or keys == 0:
        return ()
    if queries == 1 and heads > key_heads and not _has_window(call):
        queries, heads = heads // key_heads, key_heads
    block = 256 if head <= 64 else 128 if head <= 128 else 64
    splits = call.arguments.get("num_splits") or num_splits(
        batch * heads * ceil_div(queries, 64), 2 * call.multiprocessors, ceil_div(keys, block)
    )
    if splits <= 1:
        return ()
    rows = splits * batch * heads * queries * 4
    return rows, rows * _rounded_head(head)


def _has_window(call: Call) -> bool:
    sides = (call.arguments.get("window_size_left"), call.arguments.get("window_size_right"))
    return any(side is not None and side >= 0 for side in sides)


def num_splits(blocks: int, multiprocessors: int, key_blocks: int, most: int = 128) -> int:
    """`num_splits_heuristic`, in the precision of the original: the fewest splits whose waves are
    filled to 85 % of what the best number fills them.
    """
    f32 = np.float32
    if f32(blocks) >= f32(0.8) * f32(multiprocessors):
        return 1
    candidates = [
        splits
        for splits in range(1, min(most, multiprocessors, key_blocks) + 1)
        if splits == 1 or ceil_div(key_blocks, splits) != ceil_div(key_blocks, splits - 1)
    ]
    waves = [f32(blocks * splits) / f32(multiprocessors) for splits in candidates]
    efficiency = [wave / f32(ceil(wave)) for wave in waves]
    enough = 0.85 * float(max(efficiency, default=f32(0)))
    filled = (s for s, e in zip(candidates, efficiency, strict=True) if float(e) >= enough)
    return next(filled, 1)


@entry(
    aten._scaled_dot_product_flash_attention_backward.default,
    aten._flash_attention_backward.default,
    what="contiguous copies of the output and its gradient where they are not; row sums of their "
    "product; dQ accumulated in fp32; for grouped keys, dK and dV of every query head",
    formula="4 x batch x heads x Q (1, head') with Q = queries rounded up to 128 and head' rounded "
    "up to 32, above 128 to 64; grouped: 2 x batch x keys x heads x head x itemsize. Ragged: dQ "
    "has total queries + 128 x batch rows. Deterministic: dQ ceil(multiprocessors / (batch x "
    "heads)) times",
    source=f"{_API}: mha_bwd, mha_varlen_bwd; "
    "aten/src/ATen/native/transformers/cuda/attention_backward.cu: _flash_attention_backward",
    version=_VERSION,
    limitation="the staging buffer of the sum over grouped heads, which follows, is left out",
)
def _backward(call: Call) -> Sizes:
    operands = [call[name] for name in ("grad_out", "out", "query", "key")]
    if call.func is aten._scaled_dot_product_flash_attention_backward.default:
        operands = [t.transpose(1, 2) if t.dim() == 4 else t for t in operands]
    gradient, output, query, key = operands
    if query.dim() == 3:
        batch = call["cum_seq_q"].numel() - 1
        longest, rows = call["max_q"], query.shape[0] + 128 * batch
    else:
        batch, longest = query.shape[0], query.shape[1]
        rows = batch * round_up(longest, 128)
    if batch == 0:
        return ()
    heads, head = query.shape[-2:]
    accumulators = 4 * rows * heads * _rounded_head(head)
    if is_deterministic():
        accumulators *= ceil_div(call.multiprocessors, batch * heads)
    row_sums = 4 * batch * heads * round_up(longest, 128)
    copies = contiguous(gradient, output)
    return (*copies, row_sums, accumulators, *_expanded(query, key))


def _expanded(query: Tensor, key: Tensor) -> Sizes:
    """dk_expanded and dv_expanded."""
    heads, key_heads = query.shape[-2], key.shape[-2]
    if heads == key_heads:
        return ()
    size = size_bytes(key) // key_heads * heads
    return size, size
