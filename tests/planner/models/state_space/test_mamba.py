"""Mamba blocks against the library's, and their orders of tokens."""

import pytest
import torch
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer as LibraryMixer

from planner.models.state_space.mamba import (
    FORWARD,
    REVERSE,
    MambaMixer,
    TriOrientedMamba,
    across,
)

HIDDEN = 32


def library_and_ours(scan):
    torch.manual_seed(0)
    config = MambaConfig(hidden_size=HIDDEN, state_size=8, num_hidden_layers=1)
    library = LibraryMixer(config, layer_idx=0)
    ours = MambaMixer(HIDDEN, state_size=8, scan=scan, chunk_size=8)
    outer = {"in_proj", "out_proj"}
    ours.load_state_dict(
        {
            name if name.split(".")[0] in outer else f"scans.0.{name}": value
            for name, value in library.state_dict().items()
        }
    )
    return library, ours


def outputs_and_gradients(module, hidden):
    hidden = hidden.clone().requires_grad_()
    output = module(hidden)
    output.square().sum().backward()
    by_name = {name.removeprefix("scans.0."): p.grad for name, p in module.named_parameters()}
    return [output.detach(), hidden.grad, *(by_name[name] for name in sorted(by_name))]


@pytest.mark.parametrize("scan", ["chunked", "naive"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_the_librarys_mixer_computes_the_same(scan, dtype, tolerance, monkeypatch):
    library, ours = (module.to(dtype) for module in library_and_ours(scan))
    # The library's path without kernels computes parts in fp32 whatever the dtype.
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self.to(dtype))
    hidden = torch.randn(2, 37, HIDDEN, dtype=dtype)
    pairs = zip(
        outputs_and_gradients(ours, hidden), outputs_and_gradients(library, hidden), strict=True
    )
    for found, expected in pairs:
        assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_a_decoder_sees_nothing_later_and_an_encoder_everything():
    x = torch.randn(1, 24, HIDDEN)
    changed = x.clone()
    changed[:, 10] += 1

    def first_difference(orders):
        torch.manual_seed(0)
        mixer = MambaMixer(HIDDEN, chunk_size=8, orders=orders)
        moved = (mixer(x) - mixer(changed)).abs().amax((0, 2)) > 0
        return int(moved.nonzero()[0])

    assert first_difference((FORWARD,)) == 10
    assert first_difference((FORWARD, REVERSE)) == 0


@pytest.mark.parametrize("order", [FORWARD, REVERSE, across(4)])
def test_an_order_comes_back(order):
    x = torch.randn(2, 12, 3)
    torch.testing.assert_close(order.back(order.there(x)), x)


def test_the_third_order_goes_from_slice_to_slice():
    tokens = torch.arange(12).view(1, 12, 1)
    assert across(3).there(tokens).flatten().tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]


def test_tri_oriented_mamba_is_the_sum_of_three_with_common_outer_maps():
    torch.manual_seed(0)
    tom = TriOrientedMamba(HIDDEN, num_slices=4, chunk_size=8).double()
    x = torch.randn(2, 32, HIDDEN, dtype=torch.float64)
    total = 0
    for scan, order in zip(tom.scans, (FORWARD, REVERSE, across(4)), strict=True):
        alone = MambaMixer(HIDDEN).double()
        alone.in_proj, alone.scans[0], alone.out_proj = tom.in_proj, scan, tom.out_proj
        total = total + order.back(alone(order.there(x)))
    torch.testing.assert_close(tom(x), total)


def test_every_parameter_of_tri_oriented_mamba_gets_a_gradient():
    tom = TriOrientedMamba(HIDDEN, num_slices=4)
    tom(torch.randn(1, 32, HIDDEN)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in tom.parameters())


def test_delta_begins_between_its_limits():
    (scan,) = MambaMixer(64).scans
    delta = torch.nn.functional.softplus(scan.dt_proj.bias)
    assert delta.min() >= 1e-3 * 0.999
    assert delta.max() <= 1e-1 * 1.001


def test_bf16_blocks_compute_their_states_in_fp32():
    torch.manual_seed(0)
    exact = MambaMixer(HIDDEN).bfloat16()
    x = torch.randn(1, 64, HIDDEN).bfloat16()
    wide = MambaMixer(HIDDEN)
    wide.load_state_dict(exact.state_dict())
    found = exact(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wide(x.float()), rtol=0.05, atol=0.01)
