"""Pruned keys: which channels go, the bytes that stay, and that attention on them is exact."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from planner.kv_cache import ThinkCache
from planner.models.caches.think import ThinkLayer, _positions
from tests.planner.models.caches.decoding import CONFIGS, answer, decoder, relative_error


def choice(**fields):
    return ThinkCache(kind="think", **fields)


def pruned(cached, query, key, value):
    cached.update(key, value)
    cached.prune(query)
    return cached


@pytest.mark.parametrize(("ratio", "saving"), [(0.4, 0.1984), (0.5, 0.2490)])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_saving_of_llama_3_8b(ratio, saving, batch):
    """8 key heads of 128 channels, 8192 tokens, 32 recent ones (arXiv 2407.21018)."""
    heads, tokens, channels, recent = 8, 8192, 128, 32
    with FakeTensorMode():
        key = torch.empty(batch, heads, tokens, channels, dtype=torch.bfloat16)
        query = torch.empty(batch, 32, tokens, channels, dtype=torch.bfloat16)
        cached = pruned(ThinkLayer(choice(ratio=ratio, recent=recent)), query, key, key)
    kept = (cached.packed_keys, cached.keys, cached.values, cached.channels)
    stored = sum(tensor.untyped_storage().nbytes() for tensor in kept)
    left = channels - int(channels * ratio)
    numbers = (tokens - recent) * left + recent * channels + tokens * channels
    assert stored == batch * heads * (2 * numbers + channels)
    assert 1 - stored / (2 * key.nbytes) == pytest.approx(saving, abs=5e-5)


def test_the_channels_that_matter_least_go():
    torch.manual_seed(0)
    query, key = torch.randn(2, 6, 50, 16), torch.randn(2, 3, 50, 16)
    cached = pruned(ThinkLayer(choice(ratio=0.4, recent=8, observation=10)), query, key, key)
    squares = query[:, :, -10:].reshape(2, 3, 2, 10, 16).pow(2).mean((2, 3))
    score = squares * key.pow(2).mean(2)
    kept = score.topk(16 - 6).indices.sort().values
    assert torch.equal(_positions(cached.channels, 10), kept)
    expected = key[:, :, :42].gather(-1, kept[:, :, None].expand(2, 3, 42, 10))
    assert torch.equal(cached.packed_keys, expected)
    assert torch.equal(cached.keys, key[:, :, 42:])


@pytest.mark.parametrize("recent", [0, 8, 500])
def test_scores_are_those_without_the_dropped_channels(recent):
    torch.manual_seed(0)
    query, key = torch.randn(2, 6, 50, 16), torch.randn(2, 3, 50, 16)
    cached = pruned(ThinkLayer(choice(ratio=0.5, recent=recent)), query, key, key)
    new = torch.randn(2, 3, 1, 16)
    cached.update(new, new)
    whole = key.clone()
    prompt = max(50 - recent, 0)
    whole[:, :, :prompt] *= cached.channels[:, :, None]
    grouped = torch.randn(2, 3, 2, 16)
    expected = grouped @ torch.cat([whole, new], dim=2).mT
    torch.testing.assert_close(cached.scores(grouped), expected)
    assert cached.get_seq_length() == 51


@pytest.mark.parametrize("model_type", CONFIGS)
def test_nothing_dropped_changes_nothing(model_type):
    model = decoder(model_type)
    ids, logits = answer(model, choice(ratio=0.0, recent=8))
    expected_ids, expected = answer(model)
    assert torch.equal(ids, expected_ids)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("model_type", "bound"), [("llama", 0.02), ("gpt2", 0.02), ("qwen3", 0.3)])
def test_answers_stay_near_and_nearer_the_less_is_dropped(model_type, bound):
    """Random weights as the library makes them; qwen3 normalises queries and keys, so that its
    scores are large all the same.
    """
    model = decoder(model_type, initializer_range=0.02)
    attention = model.config._attn_implementation
    _, expected = answer(model, new_tokens=2)
    error = {}
    for ratio in (0.1, 0.4, 0.9):
        _, logits = answer(model, choice(ratio=ratio, recent=8), new_tokens=2)
        assert torch.equal(logits[0], expected[0]), "the prompt is computed with all channels"
        error[ratio] = relative_error(logits[1], expected[1])
    assert error[0.1] < error[0.4] < error[0.9]
    assert error[0.4] < bound
    assert model.config._attn_implementation == attention


def test_a_library_layer_beside_it_attends_as_ever():
    """A layer with a short window of its own keeps the library's cache."""
    model = decoder("qwen3", max_window_layers=1, sliding_window=16, use_sliding_window=True)
    kinds = []
    ids, logits = answer(
        model,
        choice(ratio=0.0, recent=8),
        inspect=lambda cache: kinds.extend(type(layer).__name__ for layer in cache.layers),
    )
    assert kinds == ["ThinkLayer", "DynamicSlidingWindowLayer"]
    expected_ids, expected = answer(model)
    assert torch.equal(ids, expected_ids)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
