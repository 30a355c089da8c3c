"""A preset of a model type of `transformers`."""

from __future__ import annotations

from dataclasses import dataclass

from planner.presets.preset import Preset
from planner.request import TransformersModel


@dataclass(frozen=True)
class LibraryPreset(Preset):
    """A model type of `transformers`; the fields are those of its config."""

    def description(self, size: str) -> TransformersModel:
        """The full description that the preset stands for."""
        return TransformersModel.model_validate(
            {
                "source": "transformers",
                "task": self.task,
                "config": {"model_type": self.model_type, **self.fields(size)},
            }
        )
