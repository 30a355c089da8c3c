"""Makes the tensors of a sample: token ids, masks, pixels and sound, with valid values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_SEED = 0


@dataclass
class Samples:
    """Tensors for one batch, of one device and floating-point dtype."""

    config: PreTrainedConfig
    batch: int
    dtype: torch.dtype
    device: torch.device
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(_SEED))

    def integers(self, shape: tuple[int, ...], below: int) -> Tensor:
        """Uniform int64 values from 0 up to `below`, excluded."""
        return torch.randint(max(below, 1), shape, generator=self.generator).to(self.device)

    def ids(self, length: int, *, config: PreTrainedConfig | None = None) -> Tensor:
        """[batch, length] token ids of the vocabulary, without special tokens."""
        allowed = ordinary_tokens(config or self.config)
        chosen = torch.randint(allowed.numel(), (self.batch, length), generator=self.generator)
        return allowed[chosen].to(self.device)

    def ones(self, *shape: int) -> Tensor:
        """int64 ones, as tokenizers make attention masks."""
        return torch.ones(shape, dtype=torch.int64, device=self.device)

    def floats(self, *shape: int) -> Tensor:
        """Normalised pixels or sound in the model's dtype."""
        return torch.randn(shape, dtype=self.dtype, device=self.device)


def ordinary_tokens(config: PreTrainedConfig) -> Tensor:
    """Ids of the vocabulary that no configuration field gives a special meaning."""
    text = config.get_text_config()
    size = vocabulary_size(config)
    ordinary = torch.ones(size, dtype=torch.bool)
    special = [
        token for part in {id(p): p for p in (config, text)}.values() for token in special_ids(part)
    ]
    ordinary[[token for token in special if 0 <= token < size]] = False
    if not ordinary.any():
        ordinary[:] = True
    return ordinary.nonzero().squeeze(1)


def special_ids(config: PreTrainedConfig) -> list[int]:
    """Padding, image and other tokens that are not text, from fields such as `image_token_id`."""
    found: list[int] = []
    for name, value in vars(config).items():
        if name.endswith(("_token_id", "_token_index", "_token_ids")):
            values = value if isinstance(value, (list, tuple)) else [value]
            found += [v for v in values if isinstance(v, int) and not isinstance(v, bool)]
    return found


def vocabulary_size(config: PreTrainedConfig) -> int:
    """Rows of the input embedding."""
    for part in (config.get_text_config(), config):
        size = getattr(part, "vocab_size", None)
        if isinstance(size, int) and size > 0:
            return size
    return 32  # no vocabulary to overrun: byte or feature models
