"""Published measurements of attention on GPUs, simulated without one.

FlashAttention (Dao et al. 2022, arXiv 2205.14135), table 21: memory of forward and backward, fp16,
dropout and masking, on an A100. The table leaves batch, heads and width open; its numbers are
(4 G S^2 + 10 G S d) 2 bytes and (13 G S d) 2 + 2 G S 4 bytes for G = 128 heads of the batch of
width d = 64. They include the gradient of the inputs of the iteration before.
"""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from planner.check import check
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.tape import Category
from planner.trace import Tracer
from tests.planner.tracing.cuda.devices import nvidia, trace_storages

A100 = nvidia("sm_80", 108)
BATCH, HEADS, WIDTH = 16, 8, 64
MIB = 2**20


def peak_bytes(length, attention, packed):
    """The most live bytes of `attention`'s forward and backward over inputs that have gradients."""
    tracer = Tracer(A100)
    with tracer.active():
        mode = tracer.mode()

        def make(*shape):
            return torch.empty(shape, dtype=torch.float16, device=tracer.rules.tensor_device)

        def step():
            mode.recorder.begin_phase("step0.forward")
            output = attention(*leaves)
            mode.recorder.end_phase()
            mode.recorder.begin_phase("step0.backward")
            mode.in_backward = True
            output.backward(gradient)
            mode.recorder.end_phase()

        with mode:
            shape = (BATCH, length, 3, HEADS, WIDTH) if packed else (BATCH, length, HEADS, WIDTH)
            leaves = [nn.Parameter(make(*shape)) for _ in range(1 if packed else 3)]
            gradient = make(BATCH, length, HEADS, WIDTH)
            mode.recorder.adopt(gradient, Category.inputs)
            for leaf in leaves:
                leaf.grad = torch.empty_like(leaf)
                for tensor in (leaf.data, leaf, leaf.grad):
                    mode.recorder.adopt(tensor, Category.inputs)
            tracer.record(mode, mode.recorder.appear, step)
        tape = mode.recorder.tape({"limitations": []})
    return int(tape.live_bytes.max())


def fused(q, k, v):
    heads_first = (each.transpose(1, 2) for each in (q, k, v))
    out = functional.scaled_dot_product_attention(*heads_first, dropout_p=0.1)
    return out.transpose(1, 2)


def written_out(qkv):
    """The reference of FlashAttention's own benchmark."""
    q, k, v = qkv.unbind(2)
    scores = torch.einsum("bthd,bshd->bhts", q, k / math.sqrt(WIDTH))
    padding = torch.zeros(BATCH, 1, 1, qkv.shape[1], dtype=torch.bool, device=qkv.device)
    scores.masked_fill_(padding, float("-inf"))
    weights = functional.dropout(torch.softmax(scores, dim=-1), 0.1)
    return torch.einsum("bhts,bshd->bthd", weights, v)


@pytest.mark.parametrize(
    ("length", "published"),
    [(512, 104), (1024, 209), (2048, 418), (4096, 836), (8192, 1672), (65536, 13376)],
)
def test_flash_attention(length, published):
    assert peak_bytes(length, fused, packed=False) // MIB == published


@pytest.mark.parametrize(("length", "published"), [(2048, 4416), (4096, 17024)])
def test_attention_written_out(length, published):
    """Two cuBLAS workspaces, and one copy of a projection that einsum made less in 2022."""
    extra = 2 * 8_519_680 + 2 * BATCH * HEADS * length * WIDTH
    assert peak_bytes(length, written_out, packed=True) - extra == pytest.approx(
        published * MIB, rel=1e-3
    )


def end_of_forward(config, task, workload):
    body = {
        "model": {"source": "transformers", "task": task, "attention": "eager", "config": config},
        "workload": {"optimizer": {"name": "sgd"}, **workload},
    }
    tape = trace_storages(check(SimulationRequest.model_validate(body)), A100)
    return tape, simulate(tape).phases[0].end_bytes


@pytest.mark.parametrize(
    ("width", "layers", "heads", "published"), [(384, 12, 6, 66.5), (768, 12, 12, 129.7)]
)
def test_an_image_of_a_vision_transformer(width, layers, heads, published):
    """Mangalam et al. 2022, arXiv 2302.04869: memory per image, fp32, 224 x 224 in patches of 16;
    from the largest batch that fits, so within a few per cent.
    """
    config = {
        "model_type": "vit", "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": 4 * width,
    }  # fmt: skip
    one, two = (
        end_of_forward(config, "image-classification", {"batch_size": n})[1] for n in (1, 2)
    )
    assert (two - one) / MIB == pytest.approx(published, rel=0.035)


def test_layers_of_a_reformer_cost_their_parameters():
    """Hugging Face's blog on Reformer: 380 MB for four layers more, batch 8 x 512, fp32: weights
    and gradients, for a reversible layer saves nothing of its own.
    """
    config = {
        "model_type": "reformer", "hidden_size": 1024, "num_attention_heads": 8,
        "attention_head_size": 128, "feed_forward_size": 4096, "axial_pos_shape": [16, 32],
        "axial_pos_embds_dim": [256, 768], "num_hashes": 1, "local_attn_chunk_length": 128,
        "lsh_attn_chunk_length": 256, "num_buckets": 4, "vocab_size": 258, "is_decoder": False,
    }  # fmt: skip
    four = ["local", "local", "lsh", "local"]
    workload = {"batch_size": 8, "sequence_length": 512}
    few, many = (
        end_of_forward({**config, "attn_layers": layers}, "text-classification", workload)
        for layers in (four, four * 2)
    )
    weights = 4 * (many[0].meta["parameter_count"] - few[0].meta["parameter_count"])
    # LSH buckets are kept, eight bytes for each token and head.
    buckets = 8 * 8 * 512 * 8
    assert many[1] - few[1] == pytest.approx(weights + buckets, abs=1 << 20)
    assert 2 * weights / MIB == pytest.approx(380, rel=0.01)
