"""Every workload of the CUDA suite is one that the service would take."""

import pytest

from benchmarks.cuda_cases import CASES, in_rounds
from planner.check import check
from planner.request import SimulationRequest


@pytest.mark.parametrize("name", CASES)
def test_the_request_is_valid(name):
    request = check(SimulationRequest.model_validate(CASES[name].body))
    assert request.strategy.version == 1


def test_the_cases_are_many_and_diverse():
    bodies = [case.body for case in CASES.values()]
    assert len(bodies) >= 44
    assert len({body["model"]["config"]["model_type"] for body in bodies}) >= 20
    workloads = [body["workload"] for body in bodies]
    assert {workload.get("mode", "train") for workload in workloads} == {
        *("train", "inference", "generation"),
    }
    assert {workload.get("precision", "fp32") for workload in workloads} == {
        *("fp32", "fp16", "bf16", "amp-bf16", "amp-fp16"),
    }
    assert {workload["optimizer"]["name"] for workload in workloads if "optimizer" in workload} == {
        *("adamw", "sgd", "adafactor"),
    }
    assert {body["strategy"].get("checkpointing", "none") for body in bodies} == {"none", "full"}


def test_three_cases_are_meant_to_run_out_of_memory():
    assert sum(case.overflows_80gb for case in CASES.values()) == 3
    assert not any(case.overflows_80gb and case.minimum_bytes for case in CASES.values())


def test_every_family_has_its_turn_before_any_has_its_second():
    ordered = in_rounds(CASES)
    assert ordered.keys() == CASES.keys()
    families = [case.body["model"]["config"]["model_type"] for case in ordered.values()]
    count = len(set(families))
    assert len(set(families[:count])) == count
    gpt2 = [name for name in ordered if name.startswith("gpt2")]
    assert gpt2 == [name for name in CASES if name.startswith("gpt2")]
