"""Segment by segment through a network with a memory, and back (Memformer, arXiv 2010.06891)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from planner.models.architecture.network import Network
from planner.models.architecture.replay import replayed_loss
from planner.models.architecture.slots import MemorySlots


class Segment(nn.Module):
    """One step of the recurrence: o_t, M_{t+1} of s_t, M_t.

    Args:
        network: an encoder-decoder whose encoder reads the memory, or a network without a decoder.
    """

    def __init__(self, network: Network, memory: MemorySlots) -> None:
        super().__init__()
        self.network = network
        self.memory = memory

    def forward(self, memory: Tensor, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Loss or logits of the segment's inputs, and the next memory [B, M, H]."""
        states = self.network.encode(inputs["input_ids"], memory)
        others = {name: given for name, given in inputs.items() if name != "input_ids"}
        return self.network.decode(states, **others), self.memory(memory, states)


class SegmentedNetwork(nn.Module):
    """A sequence cut into T segments, each of which reads what those before it have written.

    The loss is the mean of the segments'. Its gradient reaches a segment through the memories of
    all those after it (back-propagation through time); M_0 is where every step begins.

    Args:
        segments: T.
        replays: backward runs each segment again instead of saving what it computed.
    """

    def __init__(self, segment: Segment, segments: int, replays: bool) -> None:
        super().__init__()
        self.segment = segment
        self.segments = segments
        self.replays = replays

    def forward(self, **inputs: Tensor) -> Tensor | list[Tensor]:
        """The loss where there are labels; else each segment's logits."""
        self.segment.network.redraw()
        parts = _cut(inputs, self.segments)
        memory = self.segment.memory.initial(len(inputs["input_ids"]))
        if self.replays and torch.is_grad_enabled():
            return replayed_loss(self.segment, parts, memory)
        outputs = []
        for part in parts:
            output, memory = self.segment(memory, part)
            outputs.append(output)
        return torch.stack(outputs).mean() if "labels" in inputs else outputs

    def get_output_embeddings(self) -> nn.Module | None:
        """The layer that makes logits of a vocabulary."""
        return self.segment.network.get_output_embeddings()

    def gradient_checkpointing_enable(self, options: dict[str, Any]) -> None:
        """Recompute each block of each segment in backward.

        Args:
            options: of `torch.utils.checkpoint.checkpoint`.
        """
        self.segment.network.gradient_checkpointing_enable(options)

    def gradient_checkpointing_disable(self) -> None:
        """Save again what blocks need for backward."""
        self.segment.network.gradient_checkpointing_disable()


def _cut(inputs: dict[str, Tensor], segments: int) -> list[dict[str, Tensor]]:
    """Each input [B, T n] as T parts [B, n]."""
    parts = {name: given.chunk(segments, dim=1) for name, given in inputs.items()}
    return [{name: of[t] for name, of in parts.items()} for t in range(segments)]
