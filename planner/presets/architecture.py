"""A preset of `source: architecture`, and short words to write one with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.architecture.description import ArchitectureModel
from planner.presets.preset import Fields, Preset


@dataclass(frozen=True)
class ArchitecturePreset(Preset):
    """An architecture of efficient blocks."""

    def description(self, size: str) -> ArchitectureModel:
        """The full description that the preset stands for."""
        return ArchitectureModel.model_validate(
            {"source": "architecture", "task": self.task, **self.fields(size)}
        )


def network(hidden: int, embedding: Fields, blocks: Fields, **more: Any) -> Fields:
    """An architecture of blocks of one make."""
    return {"hidden_size": hidden, "embedding": embedding, "blocks": [blocks], **more}


def tokens(vocab_size: int, max_positions: int, **more: Any) -> Fields:
    """An embedding of tokens."""
    return {
        "kind": "tokens",
        "vocab_size": vocab_size,
        "max_positions": max_positions,
        **more,
    }


def blocks(
    repeat: int, attention: Fields, feed_forward: Fields | None = None, **more: Any
) -> Fields:
    """Blocks of one make, with a dense feed-forward unless told otherwise."""
    return {
        "repeat": repeat,
        "attention": attention,
        "feed_forward": feed_forward or {"kind": "dense"},
        **more,
    }
