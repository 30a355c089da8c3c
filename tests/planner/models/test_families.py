"""Every family builds and takes its inputs on real tensors: a forward and a backward pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from planner.check import check
from planner.models.build import build_model
from planner.models.inputs import make_inputs
from planner.request import SimulationRequest
from tests.planner.models.families import FAMILIES


def request_for(model_type, task, fields, workload, **model):
    return check(
        SimulationRequest.model_validate(
            {
                "model": {
                    "source": "transformers",
                    "task": task,
                    "config": {"model_type": model_type, **fields},
                    **model,
                },
                "workload": {"batch_size": 2, "sequence_length": 16, **workload},
            }
        )
    )


def loss_of(outputs):
    loss = getattr(outputs, "loss", None)
    return outputs.last_hidden_state.mean() if loss is None else loss


@pytest.mark.parametrize(
    ("model_type", "task", "fields", "workload"),
    FAMILIES,
    ids=[f"{family[0]}-{family[1]}-{index}" for index, family in enumerate(FAMILIES)],
)
def test_a_real_training_step_gives_finite_gradients(model_type, task, fields, workload):
    request = request_for(model_type, task, fields, workload)
    torch.manual_seed(0)
    model = build_model(request.model, request.workload)
    inputs = make_inputs(model, model.config, request.model, request.workload)
    assert model.training
    loss = loss_of(model(**inputs))
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert torch.isfinite(loss)
    assert len(gradients) > len(list(model.parameters())) / 2
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("model_type", "task", "fields", "workload"),
    [family for family in FAMILIES if family[1] != "feature-extraction"],
    ids=[f"{f[0]}-{f[1]}-{i}" for i, f in enumerate(FAMILIES) if f[1] != "feature-extraction"],
)
def test_inference_takes_no_labels(model_type, task, fields, workload):
    request = request_for(model_type, task, fields, {**workload, "mode": "inference"})
    model = build_model(request.model, request.workload)
    inputs = make_inputs(model, model.config, request.model, request.workload)
    assert not {"labels", "start_positions", "mask_labels"} & inputs.keys()
    with torch.inference_mode():
        outputs = model(**inputs)
    assert not model.training
    assert any(isinstance(value, Tensor) for value in outputs.values())
