"""Reversible blocks give the gradients of the same blocks composed plainly, and save nothing."""

import pytest
import torch
from torch import nn

from planner.models.architecture.blocks import PreNorm
from planner.models.architecture.feed_forward import DenseFeedForward
from planner.models.architecture.lsh import LSHMixer
from planner.models.architecture.reversible import ReversibleBlock, ReversibleSequence
from tests.planner.models.architecture.descriptions import build, heads, request

B, S, H = 2, 16, 32


class Hashing(nn.Module):
    """Attention that draws random numbers in every forward."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(H, H)
        self.mixer = LSHMixer(2, 4, 4, False)

    def forward(self, x):
        q = torch.unflatten(self.proj(x), -1, (4, -1)).transpose(1, 2)
        return self.mixer(q, q, q).transpose(1, 2).flatten(2)


def sequence(depth, dropout=0.0, hashing=False):
    torch.manual_seed(0)
    blocks = []
    for _ in range(depth):
        attention = Hashing() if hashing else nn.Linear(H, H)
        feed_forward = DenseFeedForward(H, 2 * H, "gelu", True, None)
        parts = [PreNorm(nn.LayerNorm(H), part, dropout) for part in (attention, feed_forward)]
        blocks.append(ReversibleBlock(*parts))
    return ReversibleSequence(blocks)


def plainly(reversible, x):
    first, second = x, x
    for block in reversible.blocks:
        first, second = block(first, second)
    return (first + second) / 2


def gradients(run, module, dtype):
    torch.manual_seed(1)
    x = torch.randn(B, S, H, dtype=dtype, requires_grad=True)
    output = run(x)
    output.square().sum().backward()
    found = [output.detach(), x.grad, *(p.grad for p in module.parameters())]
    module.zero_grad()
    return found


def relative_error(ours, plain):
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, plain, strict=True))


@pytest.mark.parametrize("hashing", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_gradients_are_those_of_the_plain_composition(dtype, tolerance, dropout, hashing):
    module = sequence(12, dropout, hashing).to(dtype)
    plain = gradients(lambda x: plainly(module, x), module, dtype)
    assert relative_error(gradients(module, module, dtype), plain) < tolerance


def test_gradients_under_autocast_are_those_of_the_plain_composition():
    module = sequence(4, 0.1)

    def cast(run):
        def casting(x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return run(x)

        return casting

    plain = gradients(cast(lambda x: plainly(module, x)), module, torch.float32)
    ours = gradients(cast(module), module, torch.float32)
    assert all(gradient is not None for gradient in ours)
    assert relative_error(ours, plain) < 2e-2  # bf16 keeps 8 bits


def test_generators_go_on_after_backward_as_without_it():
    module = sequence(2, 0.1)
    torch.manual_seed(5)
    plainly(module, torch.ones(B, S, H))
    expected = torch.get_rng_state()
    torch.manual_seed(5)
    module(torch.ones(B, S, H, requires_grad=True)).sum().backward()
    assert torch.equal(torch.get_rng_state(), expected)


def test_shared_and_frozen_parameters_get_their_gradients():
    block = sequence(1).double().blocks[0]
    module = ReversibleSequence([block] * 3)
    block.attention.function.weight.requires_grad_(False)
    plain = [
        g for g in gradients(lambda x: plainly(module, x), module, torch.float64) if g is not None
    ]
    ours = [g for g in gradients(module, module, torch.float64) if g is not None]
    assert relative_error(ours, plain) < 1e-12
    assert block.attention.function.weight.grad is None


def saved_bytes(depth, residual):
    network, inputs = build(
        request(repeat=depth, residual=residual, attention=heads("dense", implementation="eager"))
    )
    network.embedding.requires_grad_(False)
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    own = {p.untyped_storage()._cdata for p in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(**inputs)
    return sum(size for storage, size in storages.items() if storage not in own)


def test_saved_bytes_do_not_grow_with_depth():
    assert saved_bytes(2, "reversible") == saved_bytes(8, "reversible")
    assert saved_bytes(8, "plain") > 3 * saved_bytes(2, "plain")


def test_a_second_backward_is_refused():
    module = sequence(2)
    loss = module(torch.ones(B, S, H, requires_grad=True)).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="only once"):
        loss.backward()
