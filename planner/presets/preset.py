"""What every preset is: a description by name, small and in its paper's size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from planner.request import ModelDescription

Fields = dict[str, Any]


@dataclass(frozen=True)
class Preset(ABC):
    """A description in two sizes.

    Attributes:
        paper: where it was published.
        paper_name: the model that size `paper` is, as its authors call it.
        paper_fields: what the description says in that size, besides the task.
        small: fields that make it run on a CPU in seconds.
        workload: what an example needs besides the defaults, by size.
        model_type: of `transformers`; None where no library has the model.
    """

    task: str
    summary: str
    paper: str
    paper_name: str
    paper_fields: Fields
    small: Fields
    workload: dict[str, Fields] = field(default_factory=dict)
    model_type: str | None = field(default=None, kw_only=True)

    @abstractmethod
    def description(self, size: str) -> ModelDescription:
        """The full description that the preset stands for."""

    def fields(self, size: str) -> Fields:
        """What the description says in this size, besides the task."""
        return self.small if size == "small" else self.paper_fields

    def example_workload(self, size: str) -> Fields:
        """Batch and lengths that suit the size."""
        batch = 4 if size == "small" else 1
        return {"batch_size": batch, "sequence_length": 128, **self.workload.get(size, {})}
