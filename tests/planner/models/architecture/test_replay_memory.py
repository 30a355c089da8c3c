"""What each way back through segments takes, by prediction (Memformer's table 3)."""

from functools import cache

from planner.devices import BUILTIN
from planner.simulation import simulate
from planner.trace import trace
from tests.planner.models.architecture.descriptions import MEMORY_SLOTS, memformer, request, tokens

BATCH, SEGMENT, HIDDEN = 4, 16, 32
GENERATOR_BYTES = 5_056  # torch.get_rng_state() of the host: Mersenne Twister's 624 numbers


@cache
def peak_bytes(backward, segments, checkpointing="none"):
    asked = memformer("text-generation", backward=backward, segments=segments)
    asked["model"]["embedding"] = tokens(vocab_size=100 * HIDDEN)  # about the paper's proportion
    asked = request(
        **asked,
        repeat=4,
        workload={"batch_size": BATCH, "sequence_length": SEGMENT * segments},
        strategy={"checkpointing": checkpointing},
    )
    return simulate(trace(asked, BUILTIN["cpu"])).peak_bytes


def test_through_time_takes_more_than_recomputed_blocks_and_those_more_than_replays():
    through_time = peak_bytes("bptt", 4)
    assert through_time > peak_bytes("bptt", 4, "full") > peak_bytes("mrbp", 4)


def test_a_longer_horizon_adds_memories_and_inputs_to_replays_and_nothing_else():
    added = peak_bytes("mrbp", 8) - peak_bytes("mrbp", 4)
    memory = 4 * BATCH * MEMORY_SLOTS["slots"] * HIDDEN
    inputs = 2 * 8 * BATCH * SEGMENT  # ids and labels, int64
    scalars = 64  # a loss and its like
    assert 0 <= added - 4 * (memory + GENERATOR_BYTES + inputs) <= 4 * scalars


def test_a_longer_horizon_adds_whole_segments_through_time():
    added = peak_bytes("bptt", 8) - peak_bytes("bptt", 4)
    assert added > 20 * (peak_bytes("mrbp", 8) - peak_bytes("mrbp", 4))
