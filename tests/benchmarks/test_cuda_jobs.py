"""What a real history is reduced to; and a real case, where there is a GPU."""

import pytest
import torch

from benchmarks import cuda_jobs
from benchmarks.cuda_held import Held, held_on, unshared
from planner.allocator import replay
from profiler.channel import Channel
from profiler.cuda_history import history_of
from profiler.limits import Limits
from tests.planner.tapes import tape_of

MIB = 2**20


def test_a_history_is_served_again_and_labelled_by_phase():
    trace = [
        {"action": "alloc", "addr": 0, "size": 3 * MIB, "time_us": 1},
        {"action": "alloc", "addr": 1, "size": 700, "time_us": 5},
        {"action": "free_requested", "addr": 1, "size": 700, "time_us": 6},
    ]
    found = cuda_jobs.of_history(history_of(trace, [("step0.forward", 4000, 9000)]))
    assert found == {
        "replayed": {
            "step0.forward": {"allocated_bytes": 3 * MIB + 1024, "reserved_bytes": 22 * MIB}
        },
        "held": {
            "step0.forward": [
                Held(3 * MIB, 1, "made in build"),
                Held(1024, 1, "made in step0.forward"),
            ]
        },
    }


def test_the_same_requests_hold_the_same_blocks_on_both_sides():
    events, sizes = [0, 1, ~0, 2, 3, ~2], [5 * MIB, 700, 4 * MIB, 12 * MIB]
    trace = [
        {
            "action": "alloc" if event >= 0 else "free_requested",
            "addr": event if event >= 0 else ~event,
            "size": sizes[event if event >= 0 else ~event],
            "time_us": time,
        }
        for time, event in enumerate(events, start=1)
    ]
    measured = cuda_jobs.of_history(history_of(trace, [("step0.forward", 0, 10_000)]))["held"]
    served = replay(events, sizes)
    predicted = held_on(tape_of(events, served.block_bytes.tolist()))
    found = unshared(measured["step0.forward"], predicted["step0.forward"])
    assert found == ([], [], 0, 0)


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT CHECKED: no CUDA device here; run on a GPU host"
)
def test_a_case_on_the_gpu():
    import socket

    request = {
        "model": {"source": "transformers", "config": {"model_type": "gpt2", "n_layer": 2}},
        "workload": {"sequence_length": 64},
    }
    mine, theirs = socket.socketpair()
    with mine, theirs:
        found = cuda_jobs.run({"request": request}, Channel(mine, Limits())).result
    (last,) = [phase for phase in found["measured"]["phases"] if phase["name"] == "step1.backward"]
    assert found["replayed"]["step1.backward"]["allocated_bytes"] == last["peak_bytes"]
