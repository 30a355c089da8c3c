"""Plans for the simulated device."""

from planner.check import check_plan
from planner.planning import make_plan
from planner.plans import PlanRequest
from tests.planner.requests import TINY
from tests.planner.tapes import check_tape
from tests.planner.tracing.cuda.devices import nvidia


def test_a_plan_fits_its_budget():
    request = PlanRequest.model_validate(
        {
            "model": {"source": "transformers", "config": {"model_type": "gpt2", **TINY["gpt2"]}},
            "workload": {"batch_size": 8, "sequence_length": 128, "precision": "amp-bf16"},
            "budget": {"memory": "104MiB"},
            "allow": ["checkpointing", "selective"],
        }
    )
    device = nvidia().model_copy(
        update={
            "peak_flops": {"fp32": 6e13, "bf16": 9e14},
            "memory_bandwidth_bytes_per_s": 3e12,
        }
    )
    plan, tape = make_plan(check_plan(request), device, lambda message: None, helpers=0)
    check_tape(tape)
    assert plan.feasible
    assert plan.prediction.fits
    assert not plan.baseline.fits
    assert plan.prediction.peak_bytes <= plan.prediction.reserved_bytes <= 104 << 20
