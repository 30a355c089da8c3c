from __future__ import annotations

import numpy as np
import pytest
import torch

from planner.arena import arena_of, pack, violations
from planner.arena.lifetimes import ELEMENTWISE, arena
from planner.arena.replay import record, replay
from planner.devices import BUILTIN
from planner.step import prepare
from planner.trace import trace
from tests.planner.requests import request

INFERENCE = {"mode": "inference", "batch_size": 2, "sequence_length": 16}


def arena_from(made, read, sizes, overwrites=None, alignment=1):
    names = [str(number) for number in range(len(made))]
    columns = (np.array(column, dtype=np.int64) for column in (made, read, sizes))
    return arena(names, *columns, overwrites or {}, alignment)


class TestLifetimes:
    def test_inputs_and_outputs_of_an_op_are_apart(self):
        found = arena_from([0, 1], [1, 2], [4, 4])
        assert pack(found.buffers).height_bytes == 8

    def test_an_op_writes_over_what_it_reads_last(self):
        found = arena_from([0, 1, 2], [1, 2, 3], [4, 4, 4], {1: [0], 2: [1]})
        assert found.buffer.tolist() == [0, 0, 0]
        assert (found.buffers.lower[0], found.buffers.upper[0], found.reused) == (0, 4, 2)

    @pytest.mark.parametrize(
        ("read", "sizes"), [([2, 2], [4, 4]), ([1, 2], [8, 4])], ids=["read later", "other size"]
    )
    def test_and_over_nothing_else(self, read, sizes):
        assert arena_from([0, 1], read, sizes, {1: [0]}).buffer.tolist() == [0, 1]

    def test_one_place_is_written_over_once(self):
        found = arena_from([0, 1, 1], [1, 2, 2], [4, 4, 4], {1: [0], 2: [0]})
        assert found.buffer.tolist() == [0, 0, 1]

    def test_sizes_are_multiples_of_the_alignment(self):
        sizes = arena_from([0, 0], [0, 0], [1, 65], alignment=64).buffers.size_bytes
        assert sizes.tolist() == [64, 128]

    @pytest.mark.parametrize("name", sorted(ELEMENTWISE))
    def test_torch_calls_these_ops_pointwise(self, name):
        packet = getattr(torch.ops.aten, name)
        out_of_place = [
            overload
            for overload in (getattr(packet, one) for one in packet.overloads())
            if not overload._schema.is_mutable and torch.Tag.pointwise in overload.tags
        ]
        assert out_of_place


class TestTape:
    def test_what_a_tape_holds_is_what_a_real_run_makes(self):
        asked = request("gpt2", **INFERENCE)
        found = arena_of(trace(asked, BUILTIN["cpu"]))
        job = prepare(asked)
        real = record(lambda: dict(job.model(**job.inputs))).arena
        low, high = pack(real.buffers, seconds_limit=5), pack(found.buffers, seconds_limit=5)
        assert violations(found.buffers, high.offsets) == []
        assert low.height_bytes == high.height_bytes
        assert found.reused == real.reused > 0
        assert np.all(found.buffers.size_bytes % 64 == 0)

    def test_a_training_step_is_packed_whole(self):
        tape = trace(request("gpt2", mode="train", batch_size=1, sequence_length=8), BUILTIN["cpu"])
        found = arena_of(tape)
        layout = pack(found.buffers, seconds_limit=0)
        assert violations(found.buffers, layout.offsets) == []
        ops = np.flatnonzero(np.char.startswith(np.array(tape.phases)[tape.op_phase], "step1"))
        assert found.buffers.lower.min() >= ops[0]


class TestReplay:
    @pytest.mark.parametrize("model", ["gpt2", "llama", "vit"])
    def test_a_model_runs_in_its_arena_with_equal_results(self, model):
        task = {"vit": "image-classification"}.get(model, "text-generation")
        job = prepare(request(model, task, **INFERENCE))

        def infer():
            return job.model(**job.inputs).logits

        recorded = record(infer)
        layout = pack(recorded.arena.buffers, seconds_limit=5)
        assert layout.height_bytes < sum(recorded.storage_bytes) / 2
        logits = replay(infer, recorded, layout)
        with torch.no_grad():
            assert torch.equal(logits, infer())
        assert logits.untyped_storage().nbytes() == layout.height_bytes

    def test_a_wrong_layout_gives_wrong_results(self):
        def function():
            doubled = torch.arange(8.0) * 2
            return doubled.cumsum(0) + doubled

        recorded = record(function)
        layout = pack(recorded.arena.buffers)
        assert torch.equal(replay(function, recorded, layout), function())
        layout.offsets[:] = 0
        assert not torch.equal(replay(function, recorded, layout), function())

    def test_another_function_is_refused(self):
        recorded = record(lambda: torch.ones(4) + 1)
        layout = pack(recorded.arena.buffers)
        for other in (
            lambda: torch.ones(5) + 1,
            lambda: torch.ones(4),
            lambda: torch.ones(4) + 1 + 1,
        ):
            with pytest.raises(ValueError, match="recorded"):
                replay(other, recorded, layout)
