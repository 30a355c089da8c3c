"""What the service lists can be asked."""

from __future__ import annotations

import pytest
import torch

from planner.catalogue import model_types_by_task, presets, tasks
from planner.check import check
from planner.errors import InvalidRequest
from planner.request import SimulationRequest, TransformersModel
from planner.step import forward, prepare
from planner.techniques import techniques

NAMES = [entry["name"] for entry in presets()]


@pytest.mark.parametrize("entry", presets(), ids=NAMES)
@pytest.mark.parametrize("size", ["small", "paper"])
def test_every_preset_passes_the_check_in_both_sizes(entry, size):
    checked = check(SimulationRequest.model_validate(entry["examples"][size]))
    assert checked.model.source == entry["source"]
    if isinstance(checked.model, TransformersModel):
        assert checked.model.config["model_type"] == entry["model_type"]


@pytest.mark.parametrize("entry", presets(), ids=NAMES)
def test_every_small_preset_trains_for_real(entry):
    request = check(SimulationRequest.model_validate(entry["examples"]["small"]))
    job = prepare(request)
    assert sum(p.numel() for p in job.model.parameters()) < 20_000_000
    loss = forward(job)
    loss.backward()
    assert torch.isfinite(loss)


def test_an_unknown_preset_is_refused_with_a_suggestion():
    body = {"model": {"source": "preset", "name": "gpt-2"}}
    with pytest.raises(InvalidRequest) as caught:
        check(SimulationRequest.model_validate(body))
    assert "gpt2" in caught.value.errors[0].remedy


def test_every_task_lists_model_types():
    by_task = model_types_by_task()
    assert [entry["name"] for entry in tasks()] == list(by_task)
    assert "llama" in by_task["text-generation"]
    assert "detr" in by_task["object-detection"]
    assert all(by_task.values())


def test_every_technique_says_where_it_is_chosen_and_what_it_costs():
    for technique in techniques():
        assert technique["field"].startswith(("/model/", "/workload/", "/strategy/"))
        assert all(technique[key] for key in ("values", "saves", "costs", "mathematics"))
