"""Models beside their teachers."""

import pytest
import torch

from planner.devices import BUILTIN
from planner.distillation.losses import divergence
from planner.predict import predict
from planner.simulation import simulate
from planner.step import forward, prepare
from planner.strategy import Strategy
from planner.tape import Category
from planner.trace import trace
from tests.planner.distillation.requests import BERT, CASES, DISTILBERT, STUDENT, request

ALONE = request(DISTILBERT, None)


@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_the_model_alone(name):
    job = prepare(CASES[name])
    loss = forward(job)
    loss.backward()
    assert torch.isfinite(loss)
    for key, parameter in job.model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    if job.distiller.teacher is not None:
        assert not job.distiller.teacher.training
        for parameter in job.distiller.teacher.parameters():
            assert parameter.grad is None
            assert not parameter.requires_grad


def test_the_loss_is_the_weighted_sum_of_both():
    asked = request(DISTILBERT, {"teacher": BERT, "alpha": 0.25, "temperature": 3.0})
    job = prepare(asked)
    job.model.eval()  # no dropout, so that a second forward says the same
    outputs = job.model(**job.inputs)
    taught = job.distiller.teacher(**job.distiller.inputs).logits
    expected = 0.25 * 9 * divergence(outputs.logits, taught, 3.0) + 0.75 * outputs.loss
    torch.testing.assert_close(forward(job), expected)


def test_learning_brings_the_model_to_its_teacher():
    job = prepare(request(STUDENT, {"teacher": BERT, "alpha": 1.0}, optimizer={"name": "adamw"}))
    losses = []
    for _ in range(12):
        loss = forward(job)
        loss.backward()
        job.optimizer.step()
        job.optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_the_teacher_is_fed_with_the_models_own_inputs():
    job = prepare(CASES["online"])
    assert job.distiller.inputs["input_ids"] is job.inputs["input_ids"]
    assert "labels" not in job.distiller.inputs


def categories(asked):
    tape = trace(asked, BUILTIN["cpu"])
    kinds = tape.storage_category
    totals = {c.name: int(tape.storage_bytes[kinds == c].sum()) for c in Category}
    return totals, simulate(tape)


def test_a_teachers_parameters_are_parameters_and_have_no_gradients():
    with_teacher, prediction = categories(CASES["online"])
    alone, plain = categories(ALONE)
    teacher = 4 * (prediction.parameter_count - plain.parameter_count)
    assert teacher > 0
    assert with_teacher["parameters"] == alone["parameters"] + teacher
    assert with_teacher["gradients"] == alone["gradients"]
    assert with_teacher["optimizer_state"] == alone["optimizer_state"]
    assert prediction.trainable_parameter_count == plain.trainable_parameter_count


def test_stored_logits_are_inputs():
    stored, _ = categories(CASES["stored"])
    alone, _ = categories(ALONE)
    assert stored["inputs"] == alone["inputs"] + 4 * 2 * 32 * 512
    assert stored["parameters"] == alone["parameters"]


@pytest.mark.parametrize("name", ["hidden", "top-k", "architecture"])
def test_a_step_is_predicted_for_a_gpu(name):
    h100 = BUILTIN["h100-80gb"]
    prediction = predict(trace(CASES[name], h100), h100)
    assert prediction.reserved_bytes >= prediction.peak_bytes > 0


def test_the_model_is_recomputed_and_not_its_teacher():
    asked = request(BERT, {"teacher": BERT}, sequence_length=128)
    full = asked.model_copy(update={"strategy": Strategy(checkpointing="full")})
    _, prediction = categories(full)
    _, plain = categories(asked)
    assert prediction.peak_bytes < plain.peak_bytes
