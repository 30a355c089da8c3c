"""A cache in few bits, but for the most recent tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from planner.errors import InvalidRequest
from planner.kv_cache import QuantizedCache
from planner.models.caches.packing import Format, PackedStates


class QuantizedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keeps keys and values packed, and the last `residual` tokens in full (KIVI, Liu et al. 2024,
    arXiv 2402.02750).

    What is quantised per channel leaves the residual `residual` tokens at a time; what is quantised
    per token leaves it token by token, as in the paper's own code (jy-yuan/KIVI,
    models/llama_kivi.py). The prompt attends to its own keys and values as they were made; from the
    first new token on, attention sees the rounded ones.

    A layer's keys and values are unpacked whole while that layer attends, since torch has no
    attention on packed ones; the paper's CUDA kernels read them packed. Rows of the batch cannot be
    reordered, as beam search would.
    """

    is_croppable = False

    def __init__(self, choice: QuantizedCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keys = _States(choice, choice.keys_per)
        self._values = _States(choice, choice.values_per)
        self.cumulative_length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Learn dtype, device and head dimensions from the first tokens."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self._keys.check(key_states)
        self._values.check(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Take new tokens in; return the keys and values that they attend to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.cumulative_length += key_states.shape[-2]
        return self._keys.update(key_states), self._values.update(value_states)

    def get_seq_length(self) -> int:
        """Tokens seen."""
        return self.cumulative_length

    def reset(self) -> None:
        """Forget every token."""
        self._keys.reset()
        self._values.reset()
        super().reset()


class _States:
    """Either the keys or the values of a layer."""

    def __init__(self, choice: QuantizedCache, per: str) -> None:
        self.residual = choice.residual
        self.format = Format(choice.bits, choice.group_size, -2 if per == "channel" else -1)
        self.reset()

    def reset(self) -> None:
        self.packed: PackedStates | None = None
        self.recent: Tensor | None = None

    def check(self, states: Tensor) -> None:
        channels, size = states.shape[-1], self.format.group_size
        if self.format.dim == -1 and channels % size:
            raise InvalidRequest.at(
                "/strategy/kv_cache/group_size",
                f"{size} does not divide the {channels} channels of a head, quantised per token",
                "use a smaller group_size, or quantise per channel",
            )

    def update(self, states: Tensor) -> Tensor:
        """Take new tokens in; return all, those packed before rounded."""
        if self.recent is None:
            self._pack_oldest(states)
            return states
        recent = torch.cat([self.recent, states], dim=-2)
        everything = recent if self.packed is None else self._unpacked(self.packed, recent)
        if self._leaving(recent.shape[-2]):
            self._pack_oldest(recent)
        else:
            self.recent = recent
        return everything

    def _leaving(self, length: int) -> int:
        """How many of the residual's tokens are to be packed now."""
        if self.format.dim == -2:
            return length - length % self.residual
        return max(length - self.residual, 0)

    def _pack_oldest(self, states: Tensor) -> None:
        leaving = self._leaving(states.shape[-2])
        if leaving and self.packed is None:
            self.packed = PackedStates.of(states[:, :, :leaving], self.format)
        elif leaving and self.packed is not None:
            self.packed.append(states[:, :, :leaving])
        # A copy: a view would hold all of `states`.
        self.recent = states[:, :, leaving:].clone(memory_format=torch.contiguous_format)

    def _unpacked(self, packed: PackedStates, recent: Tensor) -> Tensor:
        tokens = packed.tokens
        shape = (*recent.shape[:2], tokens + recent.shape[2], recent.shape[3])
        out = recent.new_empty(shape)
        packed.unpack_into(out[:, :, :tokens])
        out[:, :, tokens:] = recent
        return out
