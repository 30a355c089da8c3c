"""Stored layout, values and gradients of quantised layers, against the libraries' own."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from planner.compress.quantized import NF4, Int8Linear, NF4Linear, Tables

TABLES = Tables.on(torch.device("cpu"))


def linear(inputs=128, outputs=96, bias=True, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias, dtype=dtype)


def nf4(layer, block_size=64, double_quantization=True):
    return NF4Linear(layer, block_size, double_quantization, TABLES)


def stored_bytes(layer):
    """Of what belongs to the layer alone: not the tables."""
    return sum(tensor.nbytes for tensor in layer.state_dict().values())


class TestNF4:
    def test_bits_a_parameter_are_those_of_the_paper(self):
        layer = nf4(linear(4096, 4096, bias=False))
        # 4 + 8/64 + 32/(64 x 256) bits, and the offset of 4 bytes.
        assert stored_bytes(layer) == 4096 * 4096 // 2 + 4096 * 64 + 4 * 1024 + 4
        assert stored_bytes(layer) * 8 / 4096**2 == pytest.approx(4.127, abs=5e-4)

    def test_without_double_quantization_it_is_four_and_a_half(self):
        layer = nf4(linear(4096, 4096, bias=False), double_quantization=False)
        assert stored_bytes(layer) * 8 == 4.5 * 4096**2

    @given(
        inputs=st.integers(1, 70),
        outputs=st.integers(1, 9),
        block_size=st.sampled_from([32, 64]),
        double=st.booleans(),
    )
    @settings(max_examples=40, deadline=None)
    def test_sizes_that_blocks_do_not_divide_are_stored_too(
        self, inputs, outputs, block_size, double
    ):
        plain = linear(inputs, outputs, bias=False)
        layer = nf4(plain, block_size, double)
        count = inputs * outputs
        blocks = -(-count // block_size)
        scales = blocks + 4 * -(-blocks // 256) + 4 if double else 4 * blocks
        assert stored_bytes(layer) == -(-count // 2) + scales
        dense = layer.dense(torch.float32)
        widest = max(b - a for a, b in itertools.pairwise(NF4)) / 2
        # Half of the widest gap, and what 8 bits leave of a scale's own error.
        bound = (widest + 0.02) * plain.weight.abs().max()
        assert dense.shape == plain.weight.shape
        assert (dense - plain.weight).abs().max() <= bound

    def test_stored_numbers_are_those_of_bitsandbytes(self):
        functional = pytest.importorskip("bitsandbytes.functional")
        plain = linear(512, 256, bias=False)
        weight = plain.weight.detach()
        codes, state = functional.quantize_4bit(
            weight, quant_type="nf4", blocksize=64, compress_statistics=True
        )
        ours = nf4(plain)
        assert torch.equal(ours.qweight, codes.view(-1))
        # Its CPU kernel (C++) rounds ties between two 8-bit codes of scales otherwise.
        apart = (ours.absmax.int() - state.absmax.int()).abs()
        assert apart.max() <= 1
        assert (apart > 0).sum() <= len(apart) // 100
        torch.testing.assert_close(ours.nested_absmax, state.state2.absmax)
        torch.testing.assert_close(ours.offset, state.offset)
        theirs = functional.dequantize_4bit(codes, state)
        step = plain.weight.detach().abs().max() / 100
        torch.testing.assert_close(ours.dense(torch.float32), theirs, rtol=0, atol=step)

    def test_a_layer_of_zeros_stays_zero(self):
        layer = linear()
        nn.init.zeros_(layer.weight)
        assert not nf4(layer).dense(torch.float32).any()


class TestInt8:
    def test_a_byte_a_weight_and_four_a_row(self):
        assert stored_bytes(Int8Linear(linear(128, 96, bias=False))) == 128 * 96 + 4 * 96

    def test_errors_are_at_most_a_step(self):
        plain = linear()
        error = (Int8Linear(plain).dense(torch.float32) - plain.weight).abs()
        assert (error <= plain.weight.abs().amax(1, keepdim=True) / 127.5 * 1.001).all()

    def test_stored_numbers_are_those_of_torchao(self):
        quantization = pytest.importorskip("torchao.quantization")
        plain = linear(256, 128)
        ours = Int8Linear(plain)
        model = nn.Sequential(linear(256, 128))
        quantization.quantize_(model, quantization.Int8WeightOnlyConfig())
        theirs = model[0].weight
        assert torch.equal(ours.qweight, theirs.qdata)
        torch.testing.assert_close(ours.scale, theirs.scale.view(-1))
        x = torch.randn(5, 256)
        torch.testing.assert_close(ours(x), model(x))


@pytest.mark.parametrize("make", [nf4, Int8Linear])
class TestBoth:
    def test_products_and_gradients_are_those_of_the_dense_weight(self, make):
        layer = make(linear())
        dense = nn.Linear(128, 96)
        dense.weight = nn.Parameter(layer.dense(torch.float32))
        dense.bias = nn.Parameter(layer.bias.detach().clone())
        x = torch.randn(2, 3, 128, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        layer(x).square().sum().backward()
        dense(y).square().sum().backward()
        torch.testing.assert_close(layer(x), dense(y))
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(layer.bias.grad, dense.bias.grad)

    def test_nothing_of_the_weights_size_is_kept_for_backward(self, make):
        layer = make(linear(1024, 1024))
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
            layer(torch.randn(2, 1024, requires_grad=True))
        assert sum(tensor.numel() for tensor in saved) < 1024

    def test_only_the_bias_can_train(self, make):
        layer = make(linear())
        assert [name for name, _ in layer.named_parameters()] == ["bias"]

    def test_autocast_makes_products_in_its_dtype(self, make):
        layer = make(linear())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(torch.randn(2, 128)).dtype == torch.bfloat16

    def test_a_state_dict_brings_it_back(self, make):
        layer, other = make(linear()), make(nn.Linear(128, 96))
        other.load_state_dict(layer.state_dict())
        x = torch.randn(2, 128)
        assert torch.equal(layer(x), other(x))
