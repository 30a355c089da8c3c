"""A preset of `source: layers`."""

from __future__ import annotations

from dataclasses import dataclass

from planner.models.layers.description import LayersModel
from planner.presets.preset import Preset


@dataclass(frozen=True)
class LayersPreset(Preset):
    """A graph of layers; the task is what its loss makes of it."""

    def description(self, size: str) -> LayersModel:
        """The full description that the preset stands for."""
        return LayersModel.model_validate({"source": "layers", **self.fields(size)})
