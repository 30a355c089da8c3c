import numpy as np
import pytest

from planner.peak import peak
from planner.simulation import simulate
from planner.tape import Category
from tests.planner.tapes import tape_of


@pytest.fixture
def tape():
    """A weight with its optimizer state, an activation of a block, and what is dead by then."""
    return tape_of(
        [0, 1, ~1, 2, 3, ~3],
        [100, 500, 80, 60],
        op_events=[1, 3, 4],
        phases={"step0.forward": (1, 4), "step0.backward": (4, 6)},
        categories=[
            Category.parameters,
            Category.temporaries,
            Category.optimizer_state,
            Category.activations,
        ],
        names=["aten.op", "block.weight", "block.weight.exp_avg"],
        op_module=np.array([0, 0, 1], dtype=np.int32),
        op_phase=np.array([0, 0, 1], dtype=np.int32),
        storage_op=np.array([-1, 0, 1, 2], dtype=np.int32),
        storage_name=np.array([1, -1, 2, -1], dtype=np.int32),
        layouts=[("float32", (25,)), ("float32", (5, 3)), ("float32", (15,))],
        tensor_storage=np.array([0, 3, 3], dtype=np.int32),
        tensor_op=np.array([-1, 2, 2], dtype=np.int32),
        tensor_layout=np.array([0, 1, 2], dtype=np.int32),
    )


def test_modules_and_tensors_add_up_to_the_simulated_peak(tape):
    found = peak(tape)
    total = simulate(tape).peak_bytes
    assert found["total_bytes"] == total == 600
    assert sum(module["bytes"] for module in found["modules"]) == total
    assert sum(tensor["bytes"] for tensor in found["tensors"]) == total
    assert (found["event"], found["phase"]) == (1, "step0.forward")


def test_the_state_of_a_parameter_is_held_by_its_module(tape):
    tape.storage_bytes[1] = 10
    block = peak(tape)["modules"][0]
    assert block == {
        "module": "block",
        "bytes": 240,
        "count": 3,
        "bytes_by_category": {"parameters": 100, "optimizer_state": 80, "activations": 60},
    }


def test_a_tensor_says_what_made_it_and_how_long_it_lives(tape):
    tape.storage_bytes[1] = 10
    weight, state, activation = peak(tape)["tensors"]
    assert (weight["name"], weight["op"], weight["shape"]) == ("block.weight", None, [25])
    assert (state["name"], state["op"], state["shape"]) == ("block.weight.exp_avg", "aten.op", None)
    assert (activation["name"], activation["op"]) == (None, "aten.op")
    assert (activation["phase"], activation["shape"]) == ("step0.backward", [5, 3])
    assert (activation["first_event"], activation["end_event"]) == (4, 5)
    assert weight["end_event"] is None


def test_only_so_many_tensors_are_listed_and_all_modules(tape):
    found = peak(tape, tensors=1)
    assert [tensor["bytes"] for tensor in found["tensors"]] == [500]
    assert sum(module["bytes"] for module in found["modules"]) == 600
