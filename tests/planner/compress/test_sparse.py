"""What each sparse storage keeps, takes and computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from planner.compress.sparse import BitmaskLinear, CSRLinear, TwoOfFourLinear, mask

FORMS = {
    "csr": lambda layer: CSRLinear(layer, 0.7),
    "bitmask": lambda layer: BitmaskLinear(layer, 0.7),
    "2:4": TwoOfFourLinear,
}


def linear(inputs=64, outputs=48, bias=True):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias)


def stored_bytes(layer):
    return sum(tensor.nbytes for tensor in layer.state_dict().values())


@pytest.mark.parametrize("form", FORMS)
class TestEach:
    def test_products_and_gradients_are_those_of_the_dense_weight(self, form):
        layer = FORMS[form](linear())
        dense = nn.Linear(64, 48)
        dense.weight = nn.Parameter(layer.dense(torch.float32))
        dense.bias = nn.Parameter(layer.bias.detach().clone())
        x = torch.randn(2, 3, 64, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        layer(x).square().sum().backward()
        dense(y).square().sum().backward()
        torch.testing.assert_close(layer(x), dense(y))
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-4)

    def test_kept_weights_are_unchanged(self, form):
        plain = linear()
        dense = FORMS[form](plain).dense(torch.float32)
        kept = dense != 0
        assert torch.equal(dense[kept], plain.weight[kept])

    def test_a_state_dict_brings_it_back(self, form):
        layer, other = FORMS[form](linear()), FORMS[form](nn.Linear(64, 48))
        other.load_state_dict(layer.state_dict())
        assert torch.equal(layer.dense(torch.float32), other.dense(torch.float32))


@given(inputs=st.integers(1, 20), outputs=st.integers(1, 9), sparsity=st.floats(0.05, 0.95))
@settings(max_examples=50, deadline=None)
def test_csr_and_bitmask_keep_what_torchs_pruning_keeps(inputs, outputs, sparsity):
    plain = linear(inputs, outputs, bias=False)
    kept = max(inputs * outputs - round(sparsity * inputs * outputs), 1)
    csr, bitmask = CSRLinear(plain, sparsity), BitmaskLinear(plain, sparsity)
    assert stored_bytes(csr) == kept * (4 + 4) + 4 * (outputs + 1)
    assert stored_bytes(bitmask) == kept * 4 + -(-inputs * outputs // 8)
    assert torch.equal(csr.dense(torch.float32), bitmask.dense(torch.float32))
    if kept > 1:
        prune.l1_unstructured(plain, "weight", amount=sparsity)
        assert torch.equal(csr.dense(torch.float32), plain.weight)


class TestTwoOfFour:
    def test_half_of_the_values_and_two_bits_each(self):
        layer = TwoOfFourLinear(linear(bias=False))
        assert stored_bytes(layer) == 64 * 48 // 2 * 4 + 64 * 48 // 2 * 2 // 8

    def test_the_two_largest_of_each_four_stay(self):
        plain = linear()
        dense = TwoOfFourLinear(plain).dense(torch.float32)
        fours = plain.weight.detach().view(-1, 4)
        assert ((dense.view(-1, 4) != 0).sum(1) == 2).all()
        left = dense.view(-1, 4).abs().sum(1)
        torch.testing.assert_close(left, fours.abs().topk(2).values.sum(1))


class TestMasked:
    def test_memory_grows_by_mask_and_product(self):
        layer = linear(bias=False)
        mask(layer, 0.5)
        assert stored_bytes(layer) == 2 * 64 * 48 * 4  # weight and mask; the product comes on top
        layer(torch.randn(2, 64))
        assert layer.weight.nbytes == 64 * 48 * 4
        assert (layer.weight == 0).sum() == 64 * 48 // 2

    def test_it_trains(self):
        layer = linear(bias=False)
        mask(layer, 0.5)
        layer(torch.randn(2, 64)).sum().backward()
        assert (layer.weight_orig.grad[layer.weight_mask == 0] == 0).all()
        assert layer.weight_orig.grad.any()
