from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.kit.pointers import describe, json_pointer
from app.kit.schema import known_fields
from planner.request import SimulationRequest

MODEL = {"source": "transformers", "config": {"model_type": "gpt2"}}
FIELDS = known_fields(SimulationRequest)


def errors(body: dict) -> list[dict]:
    with pytest.raises(ValidationError) as caught:
        SimulationRequest.model_validate(body)
    return [describe(error, body, FIELDS) for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("body", "pointer", "remedy"),
    [
        ({"model": MODEL, "workload": {"batch_size": 0}}, "/workload/batch_size", "at least 1"),
        ({"model": MODEL, "workload": {"batchsize": 1}}, "/workload/batchsize", "'batch_size'"),
        ({"model": MODEL, "workload": {"precision": "x"}}, "/workload/precision", "fp32"),
        ({"model": {"source": "transformers"}}, "/model/config", "add this field"),
        ({"model": {"source": "gguf"}}, "/model", "transformers"),
        ({"model": {}}, "/model", "source"),
        ({}, "/model", "add this field"),
        ({"model": {**MODEL, "config": {}}}, "/model/config", "GET /v1/models"),
        ({"model": {**MODEL, "task": "chess"}}, "/model/task", "fill-mask"),
        ({"model": {**MODEL, "freeze": ["a", 3]}}, "/model/freeze/1", "a string"),
        ({"model": {**MODEL, "lora": {"r": "x"}}}, "/model/lora/r", "an integer"),
        ({"model": {**MODEL, "a/b~c": 1}}, "/model/a~1b~0c", "remove it"),
        ({"model": MODEL, "workload": {"mode": "generation"}}, "/workload", "needed"),
    ],
)
def test_an_error_points_into_the_body_and_says_what_to_do(body, pointer, remedy):
    (error,) = errors(body)
    assert error["pointer"] == pointer
    assert remedy in f"{error['detail']} {error['remedy']}"


def test_every_remedy_says_something():
    for error in errors({"model": {**MODEL, "lora": 3}, "workload": [], "device": "", "x": 1}):
        assert error["remedy"]


def test_a_missing_field_of_an_element_of_an_array():
    assert json_pointer(("items", 1, "name"), {"items": [{}, {}]}) == "/items/1/name"
