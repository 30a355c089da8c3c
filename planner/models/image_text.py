"""Inputs of models that read an image within a text."""

from __future__ import annotations

from typing import Any

from torch import nn

from planner.errors import InvalidRequest
from planner.models.samples import Samples
from planner.request import Workload

Inputs = dict[str, Any]


def image_text_inputs(samples: Samples, model: nn.Module, task: str, workload: Workload) -> Inputs:
    """One image and a text of `sequence_length` tokens, the image's own among them."""
    raise InvalidRequest.at("/model/task", "not yet")
