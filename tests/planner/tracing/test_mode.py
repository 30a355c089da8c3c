"""Backward on fake tensors holds what backward on real ones holds."""

import gc

import pytest
import torch
from torch.nn import functional

from planner.allocations import record_allocations
from planner.tape import Category
from planner.tracing.fake import FakeExecution
from planner.tracing.mode import TracingMode
from planner.tracing.recorder import Recorder
from tests.planner.tapes import check_tape

META = {"parameter_count": 0, "trainable_parameter_count": 0, "limitations": []}
ROWS = 300


def linear(x):
    return functional.linear(torch.ones(70, 200), x).sum()


def embedded(x):
    return functional.embedding(torch.arange(90), x).sum()


class Putting(torch.autograd.Function):
    """A backward of one's own really makes two tensors."""

    @staticmethod
    def forward(ctx, x):
        return x[:2] * 1.0

    @staticmethod
    def backward(ctx, grad):
        zeros = grad.new_zeros(ROWS, 200)
        return zeros.scatter_add(0, torch.zeros(2, 200, dtype=torch.int64), grad)


# In which order two gradients of one tensor arrive decides whether the engine may add in place.
LOSSES = {
    "one use": lambda x: x.sin().sum(),
    "two uses": lambda x: x.sin().sum() + x.cos().sum(),
    "three uses": lambda x: x.sin().sum() + x.cos().sum() + x.exp().sum(),
    "a view first": lambda x: x.sin().sum() + x.view(200, ROWS).sin().sum(),
    "a view last": lambda x: x.view(200, ROWS).sin().sum() + x.sin().sum(),
    "an expanded one first": lambda x: x.sin().sum() + x.sum(),
    "an expanded one last": lambda x: x.sum() + x.sin().sum(),
    "tied, product first": lambda x: embedded(x) + linear(x),
    "tied, embedding first": lambda x: linear(x) + embedded(x),
    "a part": lambda x: x[:, :10].sin().sum() + x.sin().sum(),
    "products": lambda x: linear(x) + linear(x),
    # Gradients that are put into zeros.
    "gather": lambda x: x.gather(0, torch.zeros(2, 200, dtype=torch.int64)).sum(),
    "index": lambda x: x[torch.arange(5)].sum(),
    "index of two": lambda x: x[torch.arange(5), torch.arange(5)].sum(),
    "index_select": lambda x: x.index_select(0, torch.arange(5)).sum(),
    "max": lambda x: x.max(1).values.sum(),
    "topk": lambda x: x.topk(3).values.sum(),
    "put by a function": lambda x: Putting.apply(x).sum(),
}


def real_peak(loss):
    weight = torch.ones(ROWS, 200, requires_grad=True)
    with record_allocations() as recorded:
        loss(weight * 1.0).backward()
    return int(recorded.live_bytes().max())


def traced(loss):
    recorder = Recorder(max_ops=10_000)
    mode = TracingMode(FakeExecution(), recorder)
    with mode:
        weight = torch.nn.Parameter(torch.ones(ROWS, 200))
        recorder.adopt(weight, Category.parameters, "weight")
        mode.recording = True
        recorder.begin_phase("step0.forward")
        value = loss(weight * 1.0)
        recorder.end_phase()
        recorder.begin_phase("step0.backward")
        mode.in_backward = True
        value.backward()
        recorder.end_phase()
        mode.recording = False
    gc.collect()
    return recorder.tape(META)


@pytest.mark.parametrize("name", LOSSES)
def test_peak_of_backward(name):
    tape = traced(LOSSES[name])
    check_tape(tape)
    peak = int(tape.live_bytes.max()) - ROWS * 200 * 4
    # The wrapped 1.0 of `weight * 1.0`, and small operands made inside the real recording.
    assert peak == pytest.approx(real_peak(LOSSES[name]), abs=64)


def test_gradients_of_two_uses_are_one_storage():
    tape = traced(LOSSES["two uses"])
    sums = [op for op in range(tape.op_count) if tape.names[tape.op_name[op]] == "aten.add.Tensor"]
    last = sums[-1]
    read = tape.op_inputs[tape.op_inputs_at[last]]
    made = tape.op_outputs[tape.op_outputs_at[last]]
    assert tape.tensor_storage[read] == tape.tensor_storage[made]


def test_what_is_written_into_a_known_tensor_is_no_second_tensor():
    recorder = Recorder(max_ops=100)
    mode = TracingMode(FakeExecution(), recorder)
    with mode:
        mode.recording = True
        recorder.begin_phase("step0.forward")
        known, computed = torch.zeros(64, dtype=torch.uint8), torch.randn(64, 4).amax(1)
        before = len(recorder.storage_bytes)
        result = known.copy_(computed.to(torch.uint8))
        recorder.end_phase()
        mode.recording = False
    assert result is known
    assert len(recorder.storage_bytes) == before + 1  # the cast
