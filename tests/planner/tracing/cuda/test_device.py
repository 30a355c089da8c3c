"""Steps traced on the simulated device: what is on the tape, and what is not."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from planner.devices import BUILTIN
from planner.errors import LimitExceeded
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.tape import Category, OpFlag
from planner.trace import Tracer, trace
from planner.tracing.cuda import backend
from planner.tracing.opinfo import op_info
from planner.tracing.recorder import Recorder
from tests.planner.requests import request
from tests.planner.tapes import check_tape
from tests.planner.tracing.cuda.devices import nvidia

H100 = nvidia()
A100 = nvidia("sm_80", 108)


def ops(tape, phase=None):
    chosen = slice(None) if phase is None else tape.op_phase == tape.phases.index(phase)
    return [tape.names[name] for name in tape.op_name[chosen]]


def run(body, device=H100, backward=True, tracer=None):
    """The tape of `body`, which gets a function that makes leaves, and returns a loss."""
    tracer = tracer or Tracer(device)
    with tracer.active():
        mode = tracer.mode()
        where = tracer.rules.tensor_device

        def leaf(*shape, dtype=torch.float32, name="leaf"):
            tensor = nn.Parameter(torch.empty(shape, dtype=dtype, device=where))
            mode.recorder.adopt(tensor, Category.parameters, name)
            return tensor

        def step():
            mode.recorder.begin_phase("step0.forward")
            loss = body(leaf)
            mode.recorder.end_phase()
            if backward:
                mode.recorder.begin_phase("step0.backward")
                mode.in_backward = True
                loss.backward()
                mode.recorder.end_phase()
                mode.in_backward = False

        with mode:
            tracer.record(mode, mode.recorder.appear, step)
        tape = mode.recorder.tape({"limitations": []})
    check_tape(tape)
    return tape


def saved_bytes(tape):
    """Bytes that the forward pass leaves alive."""
    return simulate_end(tape, 0) - int(
        tape.storage_bytes[tape.storage_category == Category.parameters].sum()
    )


def simulate_end(tape, phase):
    return int(tape.live_bytes[tape.phase_events[phase][1] - 1])


# ------------------------------------------------------------------ published and known numbers


def bert(layers, **workload):
    return SimulationRequest.model_validate(
        {
            "model": {
                "source": "transformers",
                "task": "fill-mask",
                "config": {"model_type": "bert", "num_hidden_layers": layers},
                "attention": "eager",
            },
            "workload": {"batch_size": 8, "sequence_length": 512, **workload},
        }
    )


def test_a_bert_layer_saves_what_was_published():
    """414 MB a layer more, fp32, batch 8, length 512 (Hugging Face's blog on Reformer): sbh(66 +
    9as/h) bytes, and the statistics of two norms, which that formula leaves out.
    """
    ends = [simulate(trace(bert(n), H100)).phases[0].end_bytes for n in (1, 2)]
    weights = 4 * (4 * 768 * 768 + 4 * 768 + 2 * 768 * 3072 + 3072 + 768 + 4 * 768)
    sbh, heads = 512 * 8 * 768, 12
    statistics = 2 * 2 * 8 * 512 * 4
    formula = sbh * 66 + 9 * heads * 512 * 512 * 8
    assert ends[1] - ends[0] - weights == formula + statistics
    assert (ends[1] - ends[0] - weights) / 2**20 == pytest.approx(414, abs=0.1)


def attention(leaf, dtype=torch.bfloat16, shape=(2, 4, 100, 64), mask=None, **options):
    query, key, value = (leaf(*shape, dtype=dtype, name=name) for name in "qkv")
    if mask is not None:
        mask = mask()
    return functional.scaled_dot_product_attention(query, key, value, mask, **options).sum()


ROWS = 2 * 4 * 100
OUTPUT = ROWS * 64


def test_flash_saves_output_logsumexp_and_random_state():
    tape = run(attention, A100)
    assert "aten._scaled_dot_product_flash_attention" in ops(tape)
    # The sum's backward holds no tensor; the loss is bf16.
    assert saved_bytes(tape) == OUTPUT * 2 + ROWS * 4 + (2 + 1) * 8 + 2


def test_cudnn_saves_output_logsumexp_and_random_state():
    tape = run(attention, H100)
    assert "aten._scaled_dot_product_cudnn_attention" in ops(tape)
    assert saved_bytes(tape) == OUTPUT * 2 + ROWS * 4 + 2 * 8 + 2


def test_memory_efficient_pads_the_logsumexp_to_32_queries():
    tape = run(lambda leaf: attention(leaf, torch.float32))
    assert "aten._scaled_dot_product_efficient_attention" in ops(tape)
    assert saved_bytes(tape) == OUTPUT * 4 + 2 * 4 * 128 * 4 + 2 * 8 + 4


def test_memory_efficient_dropout_keeps_its_seed_on_the_host():
    tape = run(lambda leaf: attention(leaf, torch.float32, dropout_p=0.1))
    assert saved_bytes(tape) == OUTPUT * 4 + 2 * 4 * 128 * 4 + 4


def test_memory_efficient_takes_a_padded_copy_of_an_unaligned_mask():
    tape = run(
        lambda leaf: attention(
            leaf, torch.float32, mask=lambda: torch.ones(2, 1, 100, 100, device=backend.NAME).bool()
        )
    )
    forward = ops(tape, "step0.forward")
    assert "aten.constant_pad_nd" in forward
    padded = 2 * 100 * 104 * 4  # saved for backward, as the kernel reads it
    assert saved_bytes(tape) == OUTPUT * 4 + 2 * 4 * 128 * 4 + 2 * 8 + 4 + padded


def test_flash_pads_odd_widths():
    tape = run(lambda leaf: attention(leaf, shape=(2, 4, 100, 60)), A100)
    assert ops(tape, "step0.forward").count("aten.constant_pad_nd") == 3
    assert saved_bytes(tape) == 4 * OUTPUT * 2 + ROWS * 4 + 3 * 8 + 2


def test_the_math_path_adds_its_mask_in_place():
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        tape = run(lambda leaf: attention(leaf, torch.float32, is_causal=True))
    assert "aten.add_.Tensor" in ops(tape, "step0.forward")
    assert "aten._softmax" in ops(tape, "step0.forward")  # `_safe_softmax` in its parts


def test_dropout_masks_take_a_byte():
    tape = run(lambda leaf: torch.dropout(leaf(1000), 0.1, True).sum())
    assert saved_bytes(tape) == 1000 + 4


def test_layer_norm_keeps_statistics_in_fp32():
    def body(leaf):
        weight = leaf(64, dtype=torch.bfloat16)
        x = leaf(10, 64, dtype=torch.bfloat16)
        return functional.layer_norm(x, (64,), weight, weight).sum()

    tape = run(body)
    assert saved_bytes(tape) == 2 * 10 * 4 + 2


def test_rms_norm_is_one_kernel():
    def body(leaf):
        return functional.rms_norm(leaf(10, 64), (64,), leaf(64), 1e-6).sum()

    tape = run(body)
    assert set(ops(tape, "step0.forward")) == {
        "aten.empty.memory_format", "aten.detach", "aten._fused_rms_norm", "aten.sum",
    }  # fmt: skip
    assert "aten._fused_rms_norm_backward" in ops(tape, "step0.backward")
    assert saved_bytes(tape) == 10 * 4 + 4


def test_half_precision_softmax_to_fp32_needs_no_copy():
    tape = run(
        lambda leaf: torch.softmax(leaf(8, 64, dtype=torch.float16), -1, torch.float32).sum()
    )
    assert "aten._to_copy" not in ops(tape, "step0.forward")
    assert saved_bytes(tape) == 8 * 64 * 4 + 4


@pytest.mark.parametrize(
    ("dtype", "kernel"),
    [(torch.float32, "aten.cudnn_batch_norm"), (torch.bfloat16, "aten.native_batch_norm")],
)
def test_batch_norm_kernel(dtype, kernel):
    def body(leaf):
        weight, bias = (leaf(16, dtype=dtype) for _ in range(2))
        x = leaf(4, 16, 8, 8, dtype=dtype)
        mean, var = (torch.zeros(16, dtype=dtype, device=backend.NAME) for _ in range(2))
        return functional.batch_norm(x, mean, var, weight, bias, training=True).sum()

    tape = run(body)
    assert kernel in ops(tape, "step0.forward")
    assert f"{kernel}_backward" in ops(tape, "step0.backward")


# ------------------------------------------------------------------ autocast


def test_autocast_casts_a_weight_once_and_drops_it_at_the_end():
    def body(leaf):
        weight, x = leaf(64, 64), torch.empty(8, 64, device=backend.NAME)
        with torch.autocast(backend.NAME, dtype=torch.bfloat16), torch.no_grad():
            y = functional.linear(functional.linear(x, weight), weight)
            return y.sum()

    tape = run(body, backward=False)
    casts = [o for o, name in enumerate(ops(tape)) if name == "aten._to_copy"]
    assert len(casts) == 2  # the input and the weight
    weight = tape.tensor_storage[tape.op_outputs[tape.op_outputs_at[casts[1]]]]
    assert tape.storage_bytes[weight] == 64 * 64 * 2
    assert tape.deaths[weight] >= tape.op_event[-1]  # with the context, not with its last use


def test_autocast_lists():
    def body(leaf):
        x = leaf(8, 64)
        with torch.autocast(backend.NAME, dtype=torch.bfloat16):
            product = x @ x.T
            assert product.dtype == torch.bfloat16
            assert torch.softmax(product, -1).dtype == torch.float32
            assert functional.layer_norm(product, (8,)).dtype == torch.float32
            assert (product.float() + product).dtype == torch.float32
            assert product.pow(2).dtype == torch.float32
            assert product.sum().dtype == torch.float32
            assert product.norm().dtype == torch.float32
            assert functional.gelu(product).dtype == torch.bfloat16
            assert torch.addcmul(product, product, product.float()).dtype == torch.float32
            with torch.autocast(backend.NAME, enabled=False):
                assert (x @ x.T).dtype == torch.float32
            return product.sum()

    run(body)


def test_loss_scaling_lives_on_the_device():
    tape = trace(request("gpt2", precision="amp-fp16"), H100)
    assert "aten._amp_foreach_non_finite_check_and_unscale_" in ops(tape)
    assert "aten._foreach_lerp_.Scalar" in ops(tape)  # the step is taken


# ------------------------------------------------------------------ the device and the host


def test_optimizer_steps_of_the_host_are_not_on_the_tape():
    tape = trace(request("gpt2"), H100)
    states = int(tape.storage_bytes[tape.storage_category == Category.optimizer_state].sum())
    assert states == 2 * 4 * tape.meta["parameter_count"]
    assert not any(name.endswith(".step") for name in tape.names)
    fused = trace(request("gpt2", optimizer={"name": "adamw", "fused": True}), H100)
    assert "aten._fused_adamw_" in ops(fused)
    steps = [n for n, name in enumerate(fused.names) if name.endswith(".step")]
    assert len(steps) == sum(name.endswith(".exp_avg") for name in fused.names)


def test_numbers_of_the_device_are_known():
    def body(leaf):
        mask = torch.ones(4, 4, dtype=torch.int64, device=backend.NAME).tril()
        assert mask.device.type == backend.NAME
        assert not mask.all()
        assert mask.sum().item() == 10
        assert mask[1].tolist() == [1, 1, 0, 0]
        assert torch.nonzero(mask).shape == (10, 2)
        mask[0] = 7
        assert mask.max().item() == 7
        assert mask.cpu().device.type == "cpu"
        assert torch.tensor([mask[0, 0], 3], device=backend.NAME).tolist() == [7, 3]
        return (leaf(4, 4) * mask).sum()

    tape = run(body)
    assert int(tape.storage_bytes[0]) == 4 * 4 * 8  # int64 numbers occupy the device


def test_copies_from_the_host():
    def body(leaf):
        host = torch.empty(100, 100)
        device = host.to(backend.NAME, non_blocking=True)
        return (leaf(100, 100) * device).sum()

    tape = run(body)
    assert sorted(tape.storage_bytes.tolist())[-3:] == [40_000] * 3  # not the host's


def test_backward_runs_in_the_calling_thread():
    seen = set()

    class Mark(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            seen.add(threading.get_ident())
            return gradient * 2

    tape = run(lambda leaf: Mark.apply(leaf(10)).sum())
    assert seen == {threading.get_ident()}
    assert "aten.mul.Tensor" in ops(tape, "step0.backward")


def test_checkpointing_recomputes_and_stashes_nothing_on_the_device():
    tape = trace(request("gpt2", checkpointing="full"), H100)
    check_tape(tape)
    assert (tape.op_flags & OpFlag.recompute).any()
    assert "random number generator state" not in tape.names


def test_a_device_changes_no_trace_of_the_cpu():
    before = trace(request("gpt2", checkpointing="full"), BUILTIN["cpu"], probe=False)
    trace(request("gpt2", precision="amp-bf16"), H100)
    after = trace(request("gpt2", checkpointing="full"), BUILTIN["cpu"], probe=False)
    assert before.names == after.names
    for column in ("events", "storage_bytes", "storage_category", "op_name", "op_flags"):
        assert np.array_equal(getattr(before, column), getattr(after, column)), column
    assert not torch.get_device_module(backend.NAME).is_available()
    assert torch.accelerator.current_accelerator(check_available=True) is None


def test_grouped_products_from_ampere_on():
    on = {name: ops(trace(request("mixtral"), nvidia(name))) for name in ("sm_90", "sm_75")}
    assert "aten._grouped_mm" in on["sm_90"]
    assert "aten._grouped_mm" not in on["sm_75"]


# ------------------------------------------------------------------ scratch and workspaces


def test_scratch_lives_inside_its_op_and_workspaces_stay():
    recorder = Recorder(max_ops=10)
    recorder.begin_phase("step0.forward")
    info = op_info(torch.ops.aten.relu.default)
    for _ in range(2):
        recorder.keep_workspace("cublas", 1000)
        recorder.record(
            info, [], [torch.empty(4)], module=0, flops=0, recompute=False, scratch_bytes=(20, 30)
        )
    recorder.end_phase()
    tape = recorder.tape({})
    workspace = tape.storage_category == Category.workspace
    assert sorted(tape.storage_bytes[workspace].tolist()) == [20, 20, 30, 30, 1000]
    assert tape.live_bytes.max() >= 1000 + 50
    kept = int(np.flatnonzero(tape.storage_bytes == 1000)[0])
    assert tape.deaths[kept] == len(tape.events)


def test_a_table_of_scratch_and_workspaces_is_asked_about_every_op():
    tracer = Tracer(H100)
    asked = set()

    def scratch(func, args, kwargs, result, device):
        assert device is H100
        return (512, 1024) if func is torch.ops.aten.mm.default else ()

    def workspace(func, args, device, in_backward):
        asked.add((func, in_backward))
        if func is torch.ops.aten.mm.default:
            return ("cublas", in_backward), 4096
        return None

    tracer.rules = replace(tracer.rules, scratch=scratch, workspace=workspace)
    tape = run(lambda leaf: (leaf(10, 10) @ leaf(10, 10)).sum(), tracer=tracer)
    sizes = tape.storage_bytes[tape.storage_category == Category.workspace].tolist()
    assert sorted(sizes) == [512] * 3 + [1024] * 3 + [4096] * 2
    assert {(torch.ops.aten.mm.default, False), (torch.ops.aten.mm.default, True)} <= asked


# ------------------------------------------------------------------ what goes wrong


class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("of the model's own")


@pytest.mark.parametrize("attempt", range(2))
def test_an_exception_in_backward_is_raised(attempt):
    """It would end the process without the guard of `planner.tracing.cuda.backend`."""
    with pytest.raises(KeyError, match="of the model's own"):
        run(lambda leaf: Broken.apply(leaf(10)).sum())
    run(lambda leaf: leaf(10).sum())  # and nothing stays behind


def test_the_bound_of_the_tape_holds_in_backward():
    whole = trace(request("gpt2"), H100)
    backward = int(whole.phase_events[whole.phases.index("step0.backward")][0])
    first = int(np.searchsorted(whole.op_event, backward))
    with pytest.raises(LimitExceeded):
        trace(request("gpt2"), H100, max_ops=first + 20)


def test_waiting_on_the_host_is_not_on_the_device():
    units = [{"module": f"transformer.h.{layer}", "action": "offload"} for layer in range(2)]
    plain = request("gpt2", sequence_length=128)
    strategy = plain.strategy.model_validate({"units": units})
    ends = [
        simulate(trace(asked, H100)).phases[0].end_bytes
        for asked in (plain, plain.model_copy(update={"strategy": strategy}))
    ]
    assert ends[1] < ends[0]
