"""Truncated singular value decomposition of linear layers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from planner.compress.low_rank import factorised, rank_of_energy


def linear(inputs=40, outputs=24):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs)


def product(low):
    return (low.up.weight @ low.down.weight).detach()


def test_full_rank_is_the_same_map():
    plain = linear()
    x = torch.randn(3, 40)
    torch.testing.assert_close(
        factorised(plain, rank=24, energy=None)(x), plain(x), rtol=1e-5, atol=1e-5
    )


@given(st.integers(1, 24))
def test_the_error_is_that_of_the_singular_values_left_out(rank):
    plain = linear()
    values = torch.linalg.svdvals(plain.weight.detach())
    error = torch.linalg.matrix_norm(plain.weight.detach() - product(_low(plain, rank)))
    assert error.item() == pytest.approx(values[rank:].square().sum().sqrt().item(), abs=1e-5)


def _low(plain, rank):
    return factorised(plain, rank=rank, energy=None)


def test_weights_are_r_times_both_sides():
    low = _low(linear(), 5)
    assert sum(p.numel() for p in low.parameters()) == 5 * (40 + 24) + 24


def test_a_rank_beyond_the_matrix_is_its_own():
    assert _low(linear(), 1000).down.out_features == 24


@pytest.mark.parametrize("trains", [True, False])
def test_factors_train_as_the_weight_did(trains):
    plain = linear()
    plain.weight.requires_grad_(trains)
    low = _low(plain, 3)
    assert low.up.weight.requires_grad is low.down.weight.requires_grad is trains
    assert low.up.bias is plain.bias


def test_16_bit_weights_stay_so():
    low = _low(linear().bfloat16(), 3)
    assert low.up.weight.dtype == low.down.weight.dtype == torch.bfloat16


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=12), st.floats(0.01, 1))
def test_the_rank_of_an_energy_is_the_least_that_holds_it(numbers, energy):
    values = torch.tensor(sorted(numbers, reverse=True), dtype=torch.float64)
    rank = rank_of_energy(values, energy)
    squares = values.square()
    share = energy * squares.sum()
    assert squares[:rank].sum() >= share * (1 - 1e-9)
    assert rank == 1 or squares[: rank - 1].sum() < share * (1 + 1e-9)
