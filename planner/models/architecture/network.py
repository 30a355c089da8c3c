"""The whole network: embedding, blocks, head and loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from planner.models.architecture.performer import PerformerMixer

IGNORED = -100  # labels that count for nothing, as in torch and transformers


class Blocks(nn.Module):
    """Blocks one after the other; each may be recomputed in backward as a whole."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.checkpointing: dict[str, Any] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        for block in self.blocks:
            if self.checkpointing is not None and torch.is_grad_enabled():
                x = checkpoint(block, x, **self.checkpointing)
            else:
                x = block(x)
        return x


class Network(nn.Module):
    """What an architecture description stands for.

    Args:
        groups: `Blocks` and `ReversibleSequence`, each [B, S, H] -> [B, S, H].
        head: hidden states to logits; None: the hidden states are the output.
        task: decides what the loss compares.
        pooling: which hidden state classifies, where one label stands for the whole input.
    """

    def __init__(
        self,
        embedding: nn.Module,
        groups: list[nn.Module],
        norm: nn.Module,
        head: nn.Module | None,
        task: str,
        pooling: str,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.groups = nn.ModuleList(groups)
        self.norm = norm
        self.lm_head = head if task in _TOKEN_TASKS else None
        self.classifier = None if task in _TOKEN_TASKS else head
        self.task = task
        self.pooling = pooling
        self._steps = 0

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """The loss where there are labels; else logits, or hidden states without a head."""
        if self.training:
            self._redraw()
        x = self.embedding(pixel_values if input_ids is None else input_ids)
        for group in self.groups:
            x = group(x)
        x = self.norm(x)
        if self.task in _POOLED_TASKS:
            x = x[:, 0] if self.pooling == "first" else x.mean(1)
        head = self.classifier if self.lm_head is None else self.lm_head
        outputs: Tensor = x if head is None else head(x)
        return outputs if labels is None else self.loss(outputs, labels)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy in fp32; of decoders, of each next token, as transformers computes it."""
        if self.task == "text-generation":
            labels = F.pad(labels, (0, 1), value=IGNORED)[:, 1:].contiguous()
        rows = logits.float().view(-1, logits.shape[-1])
        return F.cross_entropy(rows, labels.view(-1), ignore_index=IGNORED)

    def _redraw(self) -> None:
        """Draw the features of Performers anew when their time has come."""
        performers = [module for module in self.modules() if isinstance(module, PerformerMixer)]
        for performer in performers:
            interval = performer.redraw_interval
            if interval is not None and self._steps and self._steps % interval == 0:
                performer.redraw()
        self._steps += 1

    def get_output_embeddings(self) -> nn.Module | None:
        """The layer that makes logits of a vocabulary."""
        return self.lm_head[-1] if isinstance(self.lm_head, nn.Sequential) else self.lm_head

    def gradient_checkpointing_enable(self, options: dict[str, Any]) -> None:
        """Recompute each block in backward; reversible ones save nothing as they are.

        Args:
            options: of `torch.utils.checkpoint.checkpoint`.
        """
        self._set_checkpointing(options)

    def gradient_checkpointing_disable(self) -> None:
        """Save again what blocks need for backward."""
        self._set_checkpointing(None)

    def _set_checkpointing(self, options: dict[str, Any] | None) -> None:
        for group in self.groups:
            if isinstance(group, Blocks):
                group.checkpointing = options


_TOKEN_TASKS = frozenset({"text-generation", "fill-mask"})
_POOLED_TASKS = frozenset({"text-classification", "image-classification"})
