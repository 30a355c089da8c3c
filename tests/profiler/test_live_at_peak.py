from planner.check import check
from planner.devices import BUILTIN
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from profiler.live_at_peak import Held, measured_at_peak, predicted_at_peak, unpaired
from profiler.run import measure_request

REQUEST = check(
    SimulationRequest.model_validate(
        {
            "model": {
                "source": "transformers",
                "config": {
                    "model_type": "gpt2",
                    "n_layer": 1,
                    "n_embd": 64,
                    "n_head": 2,
                    "vocab_size": 500,
                    "bos_token_id": 0,
                    "eos_token_id": 0,
                },
            },
            "workload": {"batch_size": 1, "sequence_length": 32},
        }
    )
)


def total(held):
    return sum(one.size for one in held)


def test_what_is_alive_adds_up_to_the_measured_peak():
    measured = measure_request(REQUEST, timing_budget_seconds=0).measured
    assert total(measured_at_peak(REQUEST)) == measured.peak_bytes
    forward = next(phase for phase in measured.phases if phase.name == "step0.forward")
    assert total(measured_at_peak(REQUEST, "step0.forward")) == forward.peak_bytes


def test_what_is_alive_adds_up_to_the_predicted_peak():
    tape = trace(REQUEST, BUILTIN["cpu"])
    assert total(predicted_at_peak(tape)) == simulate(tape).peak_bytes


def test_makers_name_the_op_and_its_phase():
    makers = [held.maker for held in measured_at_peak(REQUEST, "step1.backward")]
    assert any("aten::empty" in maker and "(build)" in maker for maker in makers)
    assert any(
        "aten::zeros_like" in maker and "(step0.optimizer_step)" in maker for maker in makers
    )
    assert any("(step1.backward) AddmmBackward0" in maker for maker in makers)


def test_equal_sizes_are_paired():
    mine = [Held(8, "a"), Held(8, "b"), Held(100, "c")]
    other = [Held(8, "x"), Held(7, "y")]
    assert unpaired(mine, other) == [Held(100, "c"), Held(8, "a")]
    assert unpaired(other, mine) == [Held(7, "y")]
    assert unpaired(mine, mine) == []
