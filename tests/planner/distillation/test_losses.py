"""Losses beside their equations."""

import pytest
import torch

from planner.distillation.losses import cosine_distance, divergence, top_k_divergence


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 11, generator=generator, dtype=torch.float32) for _ in range(2)]


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergence_is_kl_of_softened_probabilities(logits, temperature):
    model, teacher = logits
    p, q = ((each.double() / temperature).softmax(-1) for each in (teacher, model))
    expected = (p * (p / q).log()).sum(-1).mean()
    assert divergence(model, teacher, temperature).item() == pytest.approx(expected.item(), 1e-5)
    assert divergence(model, model, temperature).item() == pytest.approx(0, abs=1e-6)


def test_all_of_the_logits_as_top_k_are_the_whole_divergence(logits):
    model, teacher = logits
    values, indices = teacher.topk(11)
    found = top_k_divergence(model, values, indices, 2.0)
    torch.testing.assert_close(found, divergence(model, teacher, 2.0))


def test_top_k_compares_the_largest_alone(logits):
    model, teacher = logits
    values, indices = teacher.topk(4)
    p = values.double().softmax(-1)
    q = model.double().softmax(-1).gather(-1, indices)
    expected = (p * (p / q).log()).sum(-1).mean()
    found = top_k_divergence(model, values, indices, 1.0)
    assert found.item() == pytest.approx(expected.item(), 1e-5)


def test_cosine_distance_tells_directions(logits):
    states, _ = logits
    assert cosine_distance(states, 3 * states).item() == pytest.approx(0, abs=1e-6)
    assert cosine_distance(states, -states).item() == pytest.approx(2)
