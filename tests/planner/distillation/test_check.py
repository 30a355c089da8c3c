"""Teachers that cannot be: each problem names its field."""

import pytest
from pydantic import ValidationError

from planner.errors import InvalidRequest
from planner.request import SimulationRequest
from tests.planner.distillation.requests import BERT, DISTILBERT, ENCODER, asked, request

ROOT = "/workload/distillation"
TEACHER = f"{ROOT}/teacher"


def bert(**fields):
    return {**BERT, "config": {**BERT["config"], **fields}}


@pytest.mark.parametrize(
    ("model", "distillation", "pointer"),
    [
        (DISTILBERT, {"teacher": bert(vocab_size=600)}, f"{TEACHER}/config/vocab_size"),
        (DISTILBERT, {"teacher": bert(hidden_sise=64)}, f"{TEACHER}/config/hidden_sise"),
        (DISTILBERT, {"teacher": {"source": "preset", "name": "burt"}}, f"{TEACHER}/name"),
        (
            DISTILBERT,
            {"teacher": {**BERT, "task": "text-classification"}},
            f"{TEACHER}/task",
        ),
        (
            DISTILBERT,
            {"teacher": {**BERT, "task": "question-answering"}},
            f"{TEACHER}/task",
        ),
        (
            DISTILBERT,
            {"teacher": {**ENCODER, "embedding": {**ENCODER["embedding"], "vocab_size": 64}}},
            f"{TEACHER}/embedding/vocab_size",
        ),
        (DISTILBERT, {"teacher": bert(hidden_size=64), "hidden": True}, f"{ROOT}/hidden"),
        (DISTILBERT, {"teacher": ENCODER, "hidden": True}, f"{ROOT}/hidden"),
        (DISTILBERT, {"logits": "stored", "top_k": 513}, f"{ROOT}/top_k"),
        ({**BERT, "task": "feature-extraction"}, {"teacher": BERT}, "/model/task"),
    ],
)
def test_a_problem_names_its_field(model, distillation, pointer):
    with pytest.raises(InvalidRequest) as caught:
        request(model, distillation)
    assert pointer in [problem.pointer for problem in caught.value.errors]


@pytest.mark.parametrize(
    "distillation",
    [
        {"logits": "online"},
        {"logits": "stored", "hidden": True},
        {"teacher": BERT, "top_k": 4},
        {"teacher": BERT, "temperature": 0},
        {"teacher": BERT, "alpha": 1.5},
    ],
)
def test_contradictions_are_refused(distillation):
    with pytest.raises(ValidationError, match="distillation"):
        SimulationRequest.model_validate(asked(DISTILBERT, distillation))


def test_only_training_has_a_teacher():
    with pytest.raises(ValidationError, match="mode is train"):
        SimulationRequest.model_validate(asked(DISTILBERT, {"teacher": BERT}, mode="inference"))


def test_presets_teach():
    preset = {"source": "preset", "name": "gpt2"}
    checked = request(preset, {"teacher": preset})
    assert checked.workload.distillation.teacher == checked.model
