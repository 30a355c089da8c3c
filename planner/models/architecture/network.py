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

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        for block in self.blocks:
            if self.checkpointing is not None and torch.is_grad_enabled():
                x = checkpoint(block, x, *context, **self.checkpointing)
            else:
                x = block(x, *context)
        return x


class MergingBlocks(Blocks):
    """Blocks that merge tokens; how many each token stands for goes along (`token_merging`)."""

    def forward(  # type: ignore[override]
        self, x: Tensor, sizes: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """[B, S, H], [B, S, 1] -> the same of the tokens that are left."""
        for block in self.blocks:
            if self.checkpointing is not None and torch.is_grad_enabled():
                x, sizes = checkpoint(block, x, sizes, **self.checkpointing)
            else:
                x, sizes = block(x, sizes)
        return x, sizes


class ContextBlocks(Blocks):
    """Blocks that attend to another sequence too, [B, N, H]."""


class Network(nn.Module):
    """What an architecture description stands for.

    Args:
        groups: `Blocks` and `ReversibleSequence`, each [B, S, H] -> [B, S, H].
        transitions: before the group of that number, to its width or its number of tokens.
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
        transitions: dict[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.transitions = nn.ModuleDict(transitions)
        self.groups = nn.ModuleList(groups)
        self.norm = norm
        self.lm_head = head if task in TOKEN_TASKS else None
        self.classifier = None if task in TOKEN_TASKS else head
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
        self.redraw()
        given = pixel_values if input_ids is None else input_ids
        assert given is not None, "ids or pixels"
        return self.decode(self.encode(given), labels)

    def encode(self, given: Tensor, *context: Tensor) -> Tensor:
        """Ids [B, S] or pixels -> hidden states [B, S, H].

        Args:
            context: what some blocks attend to, [B, N, H].
        """
        states: Tensor = self.norm(self._through_groups(self.embedding(given), *context))
        return states

    def decode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What `forward` returns, of the hidden states."""
        if self.task in _POOLED_TASKS:
            x = x[:, 0] if self.pooling == "first" else x.mean(1)
        head = self.classifier if self.lm_head is None else self.lm_head
        outputs: Tensor = x if head is None else head(x)
        return outputs if labels is None else self.loss(outputs, labels)

    def _through_groups(self, x: Tensor, *context: Tensor) -> Tensor:
        sizes: Tensor | None = None  # how many tokens each one stands for, where some are merged
        for index, group in enumerate(self.groups):
            if str(index) in self.transitions:
                x = self.transitions[str(index)](x)
            if isinstance(group, MergingBlocks):
                x, sizes = group(x, sizes)
            else:
                reads = isinstance(group, ContextBlocks)
                x, sizes = group(x, *context) if reads else group(x), None
        return x

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy in fp32; of decoders, of each next token, as transformers computes it."""
        if self.task == "text-generation":
            labels = F.pad(labels, (0, 1), value=IGNORED)[:, 1:].contiguous()
        rows = logits.float().view(-1, logits.shape[-1])
        return F.cross_entropy(rows, labels.reshape(-1), ignore_index=IGNORED)

    def redraw(self) -> None:
        """At a training step's start: draw Performers' features anew when their time has come."""
        if not self.training:
            return
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
        for module in self.modules():
            if isinstance(module, Blocks):
                module.checkpointing = options


TOKEN_TASKS = frozenset({"text-generation", "text2text-generation", "fill-mask"})
_POOLED_TASKS = frozenset({"text-classification", "image-classification"})
