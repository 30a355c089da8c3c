"""Makes the tensors of a batch: token ids, masks, pixels and sound, with valid values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_SEED = 0


@dataclass(kw_only=True)
class Tensors:
    """Tensors for one batch, of one device and floating-point dtype."""

    batch: int
    dtype: torch.dtype
    device: torch.device
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(_SEED))

    def integers(self, shape: tuple[int, ...], below: int) -> Tensor:
        """Uniform int64 values from 0 up to `below`, excluded."""
        return torch.randint(max(below, 1), shape, generator=self.generator).to(self.device)

    def ones(self, *shape: int) -> Tensor:
        """int64 ones, as tokenizers make attention masks."""
        return torch.ones(shape, dtype=torch.int64, device=self.device)

    def floats(self, *shape: int) -> Tensor:
        """Normalised pixels or sound in the model's dtype."""
        return torch.randn(shape, dtype=self.dtype, device=self.device)


@dataclass(kw_only=True)
class Samples(Tensors):
    """Tensors for one batch of a model of the library.

    Attributes:
        named: what the model's forward takes, by name.
    """

    model: nn.Module
    config: PreTrainedConfig
    named: frozenset[str]

    def ids(self, length: int) -> Tensor:
        """[batch, length] token ids of the vocabulary, without special tokens."""
        size = vocabulary_size(self.config)
        special = sorted(token for token in special_ids(self.config) if token < size)
        if len(special) >= size:
            special = []
        ids = self.integers((self.batch, length), size - len(special))
        for token in special:  # skip over each, in order
            ids += ids >= token
        return ids


def special_ids(config: PreTrainedConfig) -> set[int]:
    """Padding, image and other tokens that are not text, from fields such as `image_token_id`."""
    found: set[int] = set()
    for part in (config, config.get_text_config(decoder=True)):
        for name, value in vars(part).items():
            if name.endswith(("_token_id", "_token_index", "_token_ids")):
                values = value if isinstance(value, (list, tuple)) else [value]
                found |= {v for v in values if type(v) is int and v >= 0}
    return found


def vocabulary_size(config: PreTrainedConfig) -> int:
    """Rows of the input embedding."""
    for part in (config.get_text_config(decoder=True), config):
        size = getattr(part, "vocab_size", None)
        if isinstance(size, int) and size > 0:
            return size
    return 32  # no vocabulary to overrun: byte or feature models
