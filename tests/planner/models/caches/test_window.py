"""The window cache: what stays, where, and what new tokens attend to."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.kv_cache import WindowCache
from planner.models.caches.window import WindowLayer
from tests.planner.models.caches.decoding import CONFIGS, NEW, PROMPT, answer, decoder


def layer(window, sinks=0):
    return WindowLayer(WindowCache(kind="window", window=window, sinks=sinks))


def tokens(start, count):
    """Keys whose every channel is the token's number."""
    return torch.arange(start, start + count, dtype=torch.float32).expand(1, 2, 4, count).mT


def kept(cached):
    return sorted(int(token) for token in cached.keys[0, 0, :, 0])


@settings(deadline=None)
@given(
    window=st.integers(1, 8),
    sinks=st.integers(0, 3),
    steps=st.lists(st.integers(1, 4), min_size=1, max_size=12),
)
def test_the_first_and_the_last_tokens_stay(window, sinks, steps):
    cached = layer(window, sinks)
    seen = 0
    for count in steps:
        length, offset = cached.get_mask_sizes(count)
        keys, values = cached.update(tokens(seen, count), tokens(seen, count))
        seen += count
        assert keys.shape[-2] == values.shape[-2] == length
        assert offset + length == seen
        assert cached.get_seq_length() == seen
        everything = range(seen)
        stay = set(everything) if seen <= window + sinks else {*range(sinks), *everything[-window:]}
        assert kept(cached) == sorted(stay)
        assert cached.keys.untyped_storage().nbytes() == 1 * 2 * len(stay) * 4 * 4
        # New tokens are last, in their order, for a causal mask; a single one may be anywhere.
        if count > 1:
            assert keys[0, 0, -count:, 0].tolist() == list(range(seen - count, seen))
        else:
            assert seen - 1 in keys[0, 0, :, 0]


@pytest.mark.parametrize("model_type", CONFIGS)
@pytest.mark.parametrize("sinks", [0, 4])
def test_a_window_of_the_whole_text_changes_nothing(model_type, sinks):
    model = decoder(model_type)
    choice = WindowCache(kind="window", window=PROMPT + NEW - sinks, sinks=sinks)
    ids, logits = answer(model, choice)
    expected_ids, expected = answer(model)
    assert torch.equal(ids, expected_ids)
    assert torch.equal(logits, expected)


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_new_tokens_attend_to_what_is_kept_at_its_own_positions(model_type):
    window, sinks = 12, 3
    model = decoder(model_type)
    ids, logits = answer(model, WindowCache(kind="window", window=window, sinks=sinks))
    # The same by masks: the prompt in full, then each new token sees the sinks and its window.
    length = ids.shape[1] - 1
    query, key = torch.arange(length)[:, None], torch.arange(length)[None]
    seen = (key <= query) & ((key < sinks) | (key > query - window) | (query < PROMPT))
    mask = seen.expand(ids.shape[0], 1, length, length)
    with torch.inference_mode():
        expected = model(ids[:, :-1], attention_mask=mask, position_ids=torch.arange(length)[None])
    torch.testing.assert_close(
        logits.transpose(0, 1), expected.logits[:, PROMPT - 1 :], rtol=1e-4, atol=1e-4
    )


def test_a_reset_layer_is_as_new():
    cached = layer(3, 1)
    for token in range(6):
        cached.update(tokens(token, 1), tokens(token, 1))
    cached.reset()
    assert cached.get_seq_length() == 0
    cached.update(tokens(0, 2), tokens(0, 2))
    assert kept(cached) == [0, 1]
