"""A cache of the first and the last tokens only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from planner.kv_cache import WindowCache


class WindowLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keeps the first `sinks` and the last `window` tokens of what a layer has seen
    (StreamingLLM, Xiao et al. 2023, arXiv 2309.17453).

    The prompt attends to all of itself; from the first new token on, each one attends to what is
    kept, itself included. Keys keep the positions that they were made with, so distances to the
    window are those of the full text; StreamingLLM counts positions inside the cache instead, which
    changes distances to the sinks only and takes the same memory at rest.

    It grows by concatenation like `DynamicLayer` until it is full; then each new token takes the
    place of the oldest in the window. Attention does not depend on the order of keys.
    """

    is_croppable = False
    keys: Tensor
    values: Tensor

    def __init__(self, choice: WindowCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window, self.sinks = choice.window, choice.sinks
        self.capacity = choice.window + choice.sinks
        self.cumulative_length = 0
        self._oldest = 0  # place in the window of its oldest token, once it is full

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Take new tokens in; return the keys and values that they attend to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.cumulative_length += key_states.shape[-2]
        if self._kept == 0:
            self.keys, self.values = self._first(key_states), self._first(value_states)
            return key_states, value_states
        if key_states.shape[-2] == 1 and self._kept == self.capacity:
            self._replace_oldest(key_states, value_states)
            return self.keys, self.values
        keys = torch.cat([*self._in_order(self.keys), key_states], dim=-2)
        values = torch.cat([*self._in_order(self.values), value_states], dim=-2)
        self._oldest = 0
        if keys.shape[-2] <= self.capacity:
            self.keys, self.values = keys, values
        else:
            self.keys, self.values = self._first(keys), self._first(values)
        return keys, values

    @property
    def _kept(self) -> int:
        return int(self.keys.shape[-2]) if self.keys.numel() else 0

    def _first(self, states: Tensor) -> Tensor:
        """A copy of what stays of `states`: a view would hold all of them."""
        if states.shape[-2] <= self.capacity:
            return states.clone(memory_format=torch.contiguous_format)
        return torch.cat([states[:, :, : self.sinks], states[:, :, -self.window :]], dim=-2)

    def _replace_oldest(self, key_states: Tensor, value_states: Tensor) -> None:
        place = slice(self.sinks + self._oldest, self.sinks + self._oldest + 1)
        self.keys[:, :, place] = key_states
        self.values[:, :, place] = value_states
        self._oldest = (self._oldest + 1) % self.window

    def _in_order(self, states: Tensor) -> tuple[Tensor, ...]:
        if self._oldest == 0:
            return (states,)
        start = self.sinks + self._oldest
        return states[:, :, : self.sinks], states[:, :, start:], states[:, :, self.sinks : start]

    def get_seq_length(self) -> int:
        """Tokens seen, which is the next one's position."""
        return self.cumulative_length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of what `update` returns. The window's positions are exact; sinks stand
        where the tokens just before the window would, which the causal mask lets through as well.
        """
        kept = self._kept if self.is_initialized else 0
        length = kept + query_length
        if query_length == 1:
            length = min(length, self.capacity)
        return length, self.cumulative_length + query_length - length

    def reset(self) -> None:
        """Forget every token."""
        super().reset()
        self._oldest = 0
