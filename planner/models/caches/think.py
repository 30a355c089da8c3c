"""A cache whose keys lack the channels that matter least, and the attention that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from planner.kv_cache import ThinkCache

NAME = "think_sdpa"  # of the attention function, as transformers knows it


class ThinkLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Drops key channels of the prompt by what its last queries make of them (ThinK, Xu et al.
    2024, arXiv 2407.21018, section 3.2).

    For each sequence and key head, the `int(ratio * channels)` channels with the least
    |q_channel| |k_channel| go, norms taken over the last `observation` queries of the head's group
    and over all keys of the prompt. The paper's own code orders them by the squares, mean(q^2)
    mean(k^2) (SalesforceAIResearch/ThinK, kv_pruning_utils.py: key_pruner_query_driven), which is
    the same order, but repeats keys for grouped queries; here a group judges together. The last
    `recent` tokens of the prompt and all new ones keep every channel, and values are whole.

    Attributes:
        channels: bool `[batch, heads, channels]`, those that are kept.
        packed_keys: `[batch, heads, tokens - recent, kept channels]`, really that small.
        keys: `[batch, heads, recent + new tokens, channels]`.
        values: `[batch, heads, tokens, channels]`.
    """

    is_croppable = False
    keys: Tensor
    values: Tensor
    channels: Tensor
    packed_keys: Tensor | None

    def __init__(self, choice: ThinkCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.choice = choice
        self.packed_keys = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Take new tokens in. The keys returned are those with all channels; `prune` comes after
        the prompt's.
        """
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.keys = key_states
            self.values = value_states.clone(memory_format=torch.contiguous_format)
            self.is_initialized = True
            return key_states, value_states
        if self.packed_keys is None:
            raise RuntimeError("the model's attention does not go through transformers' interface")
        self.keys = torch.cat([self.keys, key_states], dim=-2)
        self.values = torch.cat([self.values, value_states], dim=-2)
        return self.keys, self.values

    def prune(self, query: Tensor) -> None:
        """Pack the prompt's keys, whose queries are `[batch, query heads, tokens, channels]`."""
        channels = self.keys.shape[-1]
        dropped = int(channels * self.choice.ratio)
        observed = _grouped(query[:, :, -self.choice.observation :], self.keys.shape[1])
        scores = torch.linalg.vector_norm(observed, dim=-2, dtype=torch.float32)
        scores *= torch.linalg.vector_norm(self.keys, dim=-2, dtype=torch.float32)
        least = scores.topk(dropped, dim=-1, largest=False).indices
        self.channels = torch.ones_like(scores, dtype=torch.bool).scatter_(-1, least, False)
        pruned = max(self.keys.shape[-2] - self.choice.recent, 0)
        self.packed_keys = self._select(self.keys[:, :, :pruned])
        # A copy: a view would hold all keys.
        self.keys = self.keys[:, :, pruned:].clone(memory_format=torch.contiguous_format)

    def scores(self, query: Tensor) -> Tensor:
        """Products of grouped queries with every key, `[batch, heads, queries, tokens]`."""
        assert self.packed_keys is not None
        packed = self._select(query) @ self.packed_keys.transpose(-1, -2)
        return torch.cat([packed, query @ self.keys.transpose(-1, -2)], dim=-1)

    def _select(self, states: Tensor) -> Tensor:
        """The kept channels of `[batch, heads, rows, channels]`, in their order."""
        count = self.channels.shape[-1] - int(self.channels.shape[-1] * self.choice.ratio)
        index = _positions(self.channels, count)
        return states.gather(-1, index[:, :, None].expand(*states.shape[:-1], count))

    def get_seq_length(self) -> int:
        """Tokens seen."""
        return int(self.values.shape[-2]) if self.is_initialized else 0

    def reset(self) -> None:
        """Forget every token."""
        super().reset()
        self.packed_keys = None


def _positions(mask: Tensor, count: int) -> Tensor:
    """Where the mask's last dimension is true, `count` times in every row, in rising order.

    `Tensor.nonzero` would say so too, but its shape depends on data.
    """
    ranks = mask.cumsum(-1).sub_(1).masked_fill_(~mask, count)
    places = torch.arange(mask.shape[-1], device=mask.device).expand_as(mask)
    found = ranks.new_empty((*mask.shape[:-1], count + 1))  # the last one takes all that is false
    return found.scatter_(-1, ranks, places)[..., :count]


def _grouped(query: Tensor, heads: int) -> Tensor:
    """Queries that share a key head, side by side: `[batch, heads, group x rows, channels]`."""
    return query.reshape(query.shape[0], heads, -1, query.shape[-1])


_active: ContextVar[Cache] = ContextVar("the cache that attention reads")


def think_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention over a `ThinkLayer`: the prompt's as `sdpa` has it, then with packed keys.

    The scores of packed and of whole keys are two products; no fused kernel takes both.
    """
    layer = _active.get().layers[module.layer_idx]  # type: ignore[index]
    if not isinstance(layer, ThinkLayer) or layer.packed_keys is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        if isinstance(layer, ThinkLayer):
            layer.prune(query)
        return output, None
    for name in _UNSUPPORTED:
        if kwargs.get(name) is not None:
            raise ValueError(f"attention with {name} cannot read pruned keys")
    batch, _, rows, channels = query.shape
    scores = layer.scores(_grouped(query, value.shape[1]))
    scores *= channels**-0.5 if scaling is None else scaling
    scores = _masked(scores.view(*scores.shape[:2], -1, rows, scores.shape[-1]), attention_mask)
    weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype).flatten(2, 3)
    output = (weights @ value).reshape(batch, -1, rows, value.shape[-1])
    return output.transpose(1, 2).contiguous(), None


_UNSUPPORTED = ("softcap", "s_aux", "position_bias")


def _masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores `[batch, heads, group, rows, tokens]` under a mask `[batch, 1, rows, tokens]`."""
    if mask is None:
        return scores
    mask = mask[:, :, None]
    if mask.dtype == torch.bool:
        return scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
    return scores.add_(mask)


AttentionInterface.register(NAME, think_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def attending_to(cache: Cache, model: Any) -> Iterator[None]:
    """Within, the model's attention is `think_attention` and reads the cache."""
    before = model.config._attn_implementation
    token = _active.set(cache)
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        _active.reset(token)
