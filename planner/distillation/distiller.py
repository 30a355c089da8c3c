"""The teacher beside the model, and the loss of both.

In a step the teacher goes first, in evaluation and without gradients: its temporaries are gone
before the model's activations come, and only the probabilities that it gives (in fp32) stay until
backward. Stored logits take the teacher's place as inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from planner.distillation.logits import logits_shape
from planner.distillation.losses import cosine_distance, divergence, top_k_divergence
from planner.errors import InvalidRequest
from planner.models.architecture.network import Network
from planner.models.build import parameter_dtype
from planner.request import Distillation, SimulationRequest, Workload

TEACHER = "teacher"
"""Name before those of a teacher's parameters and buffers."""

LOGITS, INDICES = "teacher_logits", "teacher_indices"
"""Stored logits, and of the largest alone, which they are."""


@dataclass
class Distiller:
    """Computes the loss of a model that learns from a teacher.

    Attributes:
        teacher: frozen, in evaluation; None where logits are stored.
        inputs: the teacher's, or the stored logits.
    """

    spec: Distillation
    teacher: nn.Module | None
    inputs: dict[str, Any]

    def loss(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
        """alpha T^2 KL(teacher, model) + (1 - alpha) task loss; with `hidden`, + cosine distance.

        Raises:
            InvalidRequest: the teacher's logits have another shape than the model's.
        """
        spec = self.spec
        if self.teacher is None:
            given, states = self.inputs[LOGITS], None
        else:
            given, states = self._taught(self.teacher)
        task, logits, own_states = _outputs(model, inputs, spec.hidden)
        if INDICES in self.inputs:
            soft = top_k_divergence(logits, given, self.inputs[INDICES], spec.temperature)
        else:
            _check_shapes(logits, given)
            soft = divergence(logits, given, spec.temperature)
        loss = spec.alpha * spec.temperature**2 * soft + (1 - spec.alpha) * task
        if states is not None and own_states is not None:
            loss = loss + cosine_distance(own_states, states)
        return loss

    @torch.no_grad()
    def _taught(self, teacher: nn.Module) -> tuple[Tensor, Tensor | None]:
        """The teacher's logits, and with `hidden` its last hidden states."""
        options = {"output_hidden_states": True} if self.spec.hidden else {}
        outputs = teacher(**self.inputs, **options)
        states = outputs.hidden_states[-1] if self.spec.hidden else None
        return outputs if isinstance(outputs, Tensor) else outputs.logits, states


def teacher_workload(workload: Workload) -> Workload:
    """What the teacher does in a step: infer, on the same batch in the same precision."""
    return workload.model_copy(update={"mode": "inference", "distillation": None})


def stored_logits(request: SimulationRequest, device: str) -> dict[str, Tensor]:
    """Logits of a batch in the dtype of the model's parameters, or the largest of them with their
    indices (int64).
    """
    workload, spec = request.workload, request.workload.distillation
    shape = logits_shape(request.model, workload)
    assert spec is not None
    assert shape is not None, "checked"
    options: dict[str, Any] = {"dtype": parameter_dtype(workload.precision), "device": device}
    if spec.top_k is None:
        return {LOGITS: torch.randn(shape, **options)}
    *rows, classes = shape
    indices = torch.arange(spec.top_k, device=device).expand(*rows, -1).contiguous()
    assert spec.top_k <= classes, "checked"
    return {LOGITS: torch.randn(indices.shape, **options), INDICES: indices}


def _outputs(
    model: nn.Module, inputs: Mapping[str, Any], hidden: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The model's own loss, its logits, and with `hidden` its last hidden states."""
    if isinstance(model, Network):
        logits = model(**{name: each for name, each in inputs.items() if name != "labels"})
        return model.loss(logits, inputs["labels"]), logits, None
    outputs = model(**inputs, **({"output_hidden_states": True} if hidden else {}))
    return outputs.loss, outputs.logits, outputs.hidden_states[-1] if hidden else None


def _check_shapes(logits: Tensor, given: Tensor) -> None:
    if logits.shape != given.shape:
        raise InvalidRequest.at(
            "/workload/distillation/teacher",
            f"the teacher's logits are {list(given.shape)}, the model's {list(logits.shape)}",
            "choose a teacher of the same task and vocabulary",
        )
