"""The selective scan: in chunks and token by token, the same numbers and gradients."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.allocations import record_allocations
from planner.models.state_space.chunked import chunked_scan
from planner.models.state_space.naive import naive_scan


def arguments(batch, length, width=6, states=5, dtype=torch.float64, scale=1.0):
    torch.manual_seed(0)
    u = torch.randn(batch, length, width, dtype=dtype)
    delta = scale * F.softplus(2 * torch.randn(batch, length, width, dtype=dtype))
    a_log = torch.arange(1, states + 1, dtype=dtype).log().repeat(width, 1)
    a_log += 0.1 * torch.randn(width, states, dtype=dtype)
    b, c = torch.randn(2, batch, length, states, dtype=dtype)
    return u, delta, a_log, b, c


def results(scan, given, grad):
    """y, and the gradients of all arguments."""
    leaves = [x.detach().clone().requires_grad_() for x in given]
    y = scan(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, grad)]


def in_chunks(size):
    return lambda *arguments: chunked_scan(*arguments, chunk_size=size)


def largest_errors(found, truth):
    """Relative to the largest number of each."""
    return [
        float((x - y).abs().max() / y.abs().max().clamp(min=1e-30))
        for x, y in zip(found, truth, strict=True)
    ]


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    length=st.integers(2, 40),
    size=st.integers(1, 48),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
)
def test_chunks_give_what_single_tokens_give(batch, length, size, scale):
    given_ = arguments(batch, length, scale=scale)
    grad = torch.randn_like(given_[0])
    truth = results(naive_scan, given_, grad)
    assert max(largest_errors(results(in_chunks(size), given_, grad), truth)) < 1e-10


@pytest.mark.parametrize("scale", [1e-2, 1.0])
def test_fp32_loses_no_more_digits_than_token_by_token(scale):
    exact = arguments(2, 512, states=16, scale=scale)
    grad = torch.randn_like(exact[0])
    truth = results(naive_scan, exact, grad)
    rounded = [x.float() for x in exact]
    found = results(in_chunks(64), rounded, grad.float())
    assert max(largest_errors(found, truth)) < 1e-5


def test_gradients_are_those_of_finite_differences():
    leaves = [x.requires_grad_() for x in arguments(2, 7, width=2, states=3)]
    assert torch.autograd.gradcheck(in_chunks(3), leaves)


def test_a_large_step_forgets_and_overflows_nothing():
    u, _, a_log, b, c = arguments(1, 32, dtype=torch.float32)
    delta = torch.full_like(u, 1e4)
    y, *gradients = results(in_chunks(8), (u, delta, a_log, b, c), torch.ones_like(u))
    alone = delta * u * (b * c).sum(-1, keepdim=True)
    torch.testing.assert_close(y, alone, rtol=1e-5, atol=1e-5 * float(alone.abs().max()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def saved_bytes(scan, given):
    """Of what autograd keeps for backward, each storage once, besides the arguments."""
    own = {x.untyped_storage().data_ptr() for x in given}
    found = {}

    def pack(x):
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = (storage.nbytes(), storage)  # alive, so that it is unique
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        scan(*given)
    return sum(size for size, _ in found.values())


def test_chunks_keep_the_state_of_one_token_in_so_many():
    given_ = [x.requires_grad_() for x in arguments(2, 256, states=16, dtype=torch.float32)]
    states = 2 * 256 * 6 * 16 * 4
    assert saved_bytes(in_chunks(64), given_) == states // 64
    assert saved_bytes(naive_scan, given_) > 2 * states


def test_neither_pass_holds_more_than_a_few_states_a_chunk():
    given_ = [x.requires_grad_() for x in arguments(1, 512, 32, 64, dtype=torch.float32)]
    grad = torch.ones(1, 512, 32)

    def peak_bytes(scan):
        with record_allocations() as found:
            torch.autograd.grad(scan(*given_), given_, grad)
        return int(found.live_bytes().max())

    one, inputs = 512 // 64 * 32 * 64 * 4, sum(4 * x.numel() for x in given_)
    in_chunks_bytes = peak_bytes(in_chunks(64))
    assert in_chunks_bytes < 10 * one + 2 * inputs
    assert peak_bytes(naive_scan) > 15 * in_chunks_bytes


def test_what_is_kept_grows_with_the_sequence_alone():
    def kept(length):
        given_ = [x.requires_grad_() for x in arguments(1, length, dtype=torch.float32)]
        return saved_bytes(in_chunks(16), given_)

    assert kept(256) == 2 * kept(128) == 4 * kept(64)
