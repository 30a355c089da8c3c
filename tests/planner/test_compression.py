"""Requests that compress: what is refused before anything is built."""

import pytest

from planner.check import check, check_plan
from planner.errors import InvalidRequest
from planner.plans import PlanRequest
from planner.request import SimulationRequest
from tests.planner.requests import TINY


def asked(*compression, lora=None, mode="inference"):
    return check(
        SimulationRequest.model_validate(
            {
                "model": {
                    "source": "transformers",
                    "config": {"model_type": "llama", **TINY["llama"]},
                    "lora": lora,
                },
                "workload": {"mode": mode, "sequence_length": 16},
                "strategy": {"compression": list(compression)},
            }
        )
    )


@pytest.mark.parametrize("mode", ["train", "inference"])
def test_compression_has_a_meaning_in_every_mode(mode):
    assert asked({"kind": "low_rank", "rank": 4}, mode=mode).strategy.compression


@pytest.mark.parametrize(
    ("choice", "pointer"),
    [
        ({"kind": "low_rank", "energy": 0.9}, "energy"),
        ({"kind": "structural_pruning", "ratio": 0.5, "allocation": "global"}, "allocation"),
        ({"kind": "sparse", "storage": "masked"}, "storage"),
    ],
)
def test_what_no_prediction_can_know_is_refused(choice, pointer):
    with pytest.raises(InvalidRequest) as caught:
        asked({"kind": "quantization", "format": "int8"}, choice, lora={"r": 4}, mode="train")
    (problem,) = caught.value.errors
    assert problem.pointer == f"/strategy/compression/1/{pointer}"
    assert problem.remedy


def test_plans_are_asked_as_before():
    body = {
        "model": {"source": "transformers", "config": {"model_type": "llama", **TINY["llama"]}},
        "budget": {"memory": "1GiB"},
    }
    assert check_plan(PlanRequest.model_validate(body))
