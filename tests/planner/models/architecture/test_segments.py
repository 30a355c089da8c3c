"""Memories between segments: written as told, and the same gradients whatever backward saves."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from planner.models.architecture.slots import MemorySlots
from tests.planner.models.architecture.descriptions import build, heads, memformer, request

EXPERTS = {"kind": "experts", "num_experts": 4}
NETWORKS = {
    "encoder-decoder": memformer(),
    "decoder": memformer("text-generation"),
    "masked, shared": {**memformer("fill-mask"), "share": "all"},
    "experts, post-norm": {
        **memformer("text-generation"),
        "feed_forward": EXPERTS,
        "norm_position": "post",
    },
    "chunks": {**memformer("text-generation"), "feed_forward": {"kind": "dense", "chunks": 2}},
}


def gradients(network, inputs, *, replays):
    """Of all parameters, and the state that the generator is left in."""
    torch.manual_seed(1)
    network.replays = replays
    network.zero_grad()
    loss = network(**inputs)
    loss.backward()
    named = {name: p.grad.clone() for name, p in network.named_parameters()}
    return {"loss": loss.detach(), **named}, torch.get_rng_state()


def relative_error(ours, plain):
    return max(float((ours[n] - plain[n]).norm() / plain[n].norm()) for n in plain)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_replayed_gradients_are_those_through_time(name, dropout, dtype, tolerance):
    torch.manual_seed(0)
    network, inputs = build(request(**NETWORKS[name], dropout=dropout))
    network.to(dtype)
    plain, generator = gradients(network, inputs, replays=False)
    # A key's bias has no gradient but rounding: softmax is the same for all scores shifted.
    plain = {name: g for name, g in plain.items() if not name.endswith("k_proj.bias")}
    ours, generator_after = gradients(network, inputs, replays=True)
    assert relative_error(ours, plain) < tolerance
    assert torch.equal(generator, generator_after)


def test_recomputed_blocks_within_replays_change_no_gradient():
    network, inputs = build(request(**memformer(), dropout=0.1))
    plain, _ = gradients(network, inputs, replays=False)
    network.gradient_checkpointing_enable({"use_reentrant": False})
    for replays in (False, True):
        ours, _ = gradients(network, inputs, replays=replays)
        for name, gradient in plain.items():
            torch.testing.assert_close(ours[name], gradient)


def test_parameters_are_back_and_their_hooks_are_called_once():
    network, inputs = build(request(**memformer(backward="mrbp"), share="all"))
    before = dict(network.named_parameters(remove_duplicate=False))
    called = []
    for name, p in network.named_parameters():
        p.register_post_accumulate_grad_hook(lambda _, name=name: called.append(name))
    network(**inputs).backward()
    after = dict(network.named_parameters(remove_duplicate=False))
    assert all(after[name] is p for name, p in before.items())
    assert sorted(called) == sorted(name for name, _ in network.named_parameters())


def test_frozen_parameters_get_no_gradient_from_replays():
    asked = memformer(backward="mrbp")
    asked["model"]["freeze"] = ["segment.network.embedding.*"]
    network, inputs = build(request(**asked))
    network(**inputs).backward()
    assert network.segment.network.embedding.word_embeddings.weight.grad is None
    assert network.segment.memory.bias.grad.norm() > 0


def test_gradients_accumulate_over_micro_batches():
    network, inputs = build(request(**memformer(backward="mrbp")))
    once, _ = gradients(network, inputs, replays=True)
    network(**inputs).backward()
    for name, p in network.named_parameters():
        torch.testing.assert_close(p.grad, 2 * once[name])


def test_each_slot_is_written_from_itself_and_all_tokens():
    torch.manual_seed(0)
    module = MemorySlots(hidden=8, slots=3, num_heads=2, temperature=0.5)
    memory, states = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    written = module(memory, states)
    for b, i in [(0, 0), (0, 2), (1, 1)]:
        keys = module.k_proj(torch.cat([memory[b, i : i + 1], states[b]]))
        values = torch.cat([memory[b, i : i + 1], module.v_proj(states[b])])
        query = module.q_proj(memory[b, i])
        parts = []
        for head in (slice(0, 4), slice(4, 8)):
            weights = (keys[:, head] @ query[head] / (2 * 0.5)).softmax(0)
            parts.append(weights @ values[:, head])
        expected = F.normalize(torch.cat(parts) + module.bias[i], dim=0)
        torch.testing.assert_close(written[b, i], expected)


def test_a_slot_that_keeps_itself_forgets_towards_its_bias():
    module = MemorySlots(hidden=8, slots=1, num_heads=1, temperature=1.0)
    torch.nn.init.zeros_(module.v_proj.weight)
    module.requires_grad_(False)
    memory, states = F.normalize(torch.randn(1, 1, 8), dim=-1), torch.zeros(1, 1, 8)
    bias = F.normalize(module.bias, dim=-1)
    similar = [(memory[0] @ bias.T).item()]
    for _ in range(100):
        memory = module(memory, states)
        similar.append((memory[0] @ bias.T).item())
    assert all(after > before - 1e-6 for before, after in pairwise(similar))
    assert similar[-1] == pytest.approx(1.0, abs=1e-2)
    torch.testing.assert_close(memory.norm(dim=-1), torch.ones(1, 1))


def test_a_segment_sees_those_before_it_and_none_after():
    torch.manual_seed(0)
    network, inputs = build(request(**memformer("text-generation")))
    network.eval()
    ids = inputs["input_ids"]
    before = network(input_ids=ids)
    ids[:, 8] = (ids[:, 8] + 1) % 64  # the second segment's first token
    after = network(input_ids=ids)
    assert [len(before), before[0].shape] == [4, (2, 8, 64)]
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False, True, True, True]


def test_slots_are_all_that_connects_segments():
    network, inputs = build(request(**memformer("text-generation")))
    network.eval()
    blank = torch.zeros_like(network.segment.memory.initial(2))
    network.segment.memory.forward = lambda memory, states: blank
    ids = inputs["input_ids"]
    before = network(input_ids=ids)
    ids[:, 0] = (ids[:, 0] + 1) % 64
    after = network(input_ids=ids)
    assert all(torch.equal(a, b) for a, b in zip(before[1:], after[1:], strict=True))


def test_segments_share_the_sequence():
    asked = request(**memformer(segments=8), workload={"target_length": 16})
    assert asked.model.tokens(asked.workload.sequence_length) == 4
    network, inputs = build(asked)
    assert inputs["labels"].shape == (2, 16)
    assert torch.isfinite(network(**inputs))


def test_attention_patterns_fit_a_segment():
    window = heads("sliding_window", window=4)
    network, inputs = build(request(**memformer("text-generation"), attention=window))
    assert torch.isfinite(network(**inputs))
