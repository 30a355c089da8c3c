"""The quantised cache: what is packed when, the bytes it takes, and what it does to answers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InvalidRequest
from planner.kv_cache import QuantizedCache
from planner.models.caches.quantized import QuantizedLayer
from tests.planner.models.caches.decoding import (
    CONFIGS,
    NEW,
    PROMPT,
    answer,
    decoder,
    relative_error,
)


def choice(**fields):
    return QuantizedCache(kind="quantized", **fields)


def states(tokens, channels=64):
    return torch.randn(2, 3, tokens, channels)


@settings(deadline=None, max_examples=25)
@given(prompt=st.integers(1, 100), new=st.integers(0, 70), bits=st.sampled_from([2, 4, 8]))
def test_what_is_packed_is_as_in_the_paper(prompt, new, bits):
    residual = 32
    cached = QuantizedLayer(choice(bits=bits, residual=residual))
    given_states = states(prompt + new)
    cached.update(given_states[:, :, :prompt], given_states[:, :, :prompt])
    for token in range(prompt, prompt + new):
        one = given_states[:, :, token : token + 1]
        keys, values = cached.update(one, one)
        assert keys.shape == values.shape == given_states[:, :, : token + 1].shape
    keys, values = cached._keys, cached._values
    total = prompt + new
    # Keys leave the residual all together, values one by one.
    assert keys.recent.shape[2] == total % residual
    assert values.recent.shape[2] == min(total, residual)
    for kept in (keys, values):
        packed = 0 if kept.packed is None else kept.packed.tokens
        assert packed + kept.recent.shape[2] == total == cached.get_seq_length()
        assert torch.equal(kept.recent, given_states[:, :, packed:])
        rows, channels = 2 * 3, given_states.shape[-1]
        expected = rows * packed * (channels * bits // 8 + 2 * channels // 32 * 4)
        assert (0 if kept.packed is None else kept.packed.nbytes) == expected


@pytest.mark.parametrize("model_type", CONFIGS)
def test_a_residual_of_the_whole_text_changes_nothing(model_type):
    model = decoder(model_type)
    ids, logits = answer(model, choice(residual=64))
    assert PROMPT + NEW < 64
    expected_ids, expected = answer(model)
    assert torch.equal(ids, expected_ids)
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("model_type", CONFIGS)
def test_more_bits_are_nearer(model_type):
    model = decoder(model_type)
    _, expected = answer(model, new_tokens=2)
    error = {}
    for bits in (2, 4, 8):
        _, logits = answer(model, choice(bits=bits, residual=32), new_tokens=2)
        assert torch.equal(logits[0], expected[0]), "the prompt is computed in full precision"
        error[bits] = relative_error(logits[1], expected[1])
    assert error[8] < 0.01
    assert error[8] < error[4] < error[2]


def test_axes_can_be_chosen():
    cached = QuantizedLayer(choice(keys_per="token", values_per="channel", residual=32))
    cached.update(states(40), states(40))
    assert cached._keys.recent.shape[2] == 32
    assert cached._values.recent.shape[2] == 8


def test_groups_that_do_not_fit_a_head_are_refused():
    cached = QuantizedLayer(choice(group_size=64))
    with pytest.raises(InvalidRequest, match="group_size: 64 does not divide the 48 channels"):
        cached.update(states(40, 48), states(40, 48))


def test_a_residual_of_broken_groups_is_refused():
    with pytest.raises(ValueError, match="no multiple of group_size"):
        choice(group_size=64, residual=96)
    choice(group_size=64, residual=96, keys_per="token")
