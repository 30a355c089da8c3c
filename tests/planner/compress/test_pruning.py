"""Heads and nodes taken out of whole models."""

import pytest
import torch
from torch import nn

from planner.compress import compress_model
from planner.compress.structure import structures
from planner.compression import StructuralPruning
from planner.errors import InvalidRequest
from tests.planner.compress.models import model_of, network, tokens

BOTH = ["heads", "feed_forward"]


def pruned(model, ratio=0.5, calibration=None, **fields):
    choice = StructuralPruning(kind="structural_pruning", ratio=ratio, **fields)
    return compress_model(model, [choice], calibration=calibration)


def units(model):
    return [(each.part, each.count) for each in structures(model, BOTH)]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
class TestTransformers:
    def test_what_is_pruned_was_as_good_as_zero(self, kind):
        """Zero the output weights of half of the units: they score lowest, and nothing is lost."""
        model = model_of(kind)
        for structure in structures(model, BOTH):
            output = model.get_submodule(structure.output)
            matrix = output.weight.T if isinstance(output, nn.Linear) else output.weight
            with torch.no_grad():
                matrix[: structure.output_width * (structure.count // 2)] = 0
        x = tokens()
        before = model(x).logits
        torch.testing.assert_close(pruned(model)(x).logits, before, rtol=1e-4, atol=1e-4)

    def test_blocks_have_the_share_that_stays(self, kind):
        model = model_of(kind)
        before = _weights(model)
        assert _weights(pruned(model)) == before // 2

    @pytest.mark.parametrize("score", ["numerical", "magnitude"])
    def test_it_trains_afterwards(self, kind, score):
        model = pruned(model_of(kind), score=score)
        model(tokens(), labels=tokens()).loss.backward()
        assert all(p.grad.shape == p.shape for p in model.parameters() if p.grad is not None)


def _weights(model):
    """Numbers in the matrices that units are taken out of."""
    paths = {cut.layer for each in structures(model, BOTH) for cut in each.cuts}
    return sum(model.get_submodule(path).weight.numel() for path in paths)


class TestHeads:
    def test_groups_that_share_keys_go_together(self):
        model = pruned(model_of("llama"), parts=["heads"])
        attention = model.model.layers[0].self_attn
        assert attention.q_proj.out_features == 2 * attention.k_proj.out_features == 64
        assert model.config.num_attention_heads == 2
        assert model.config.num_key_value_heads == 1

    @pytest.mark.parametrize("kind", ["gpt2", "llama"])
    @pytest.mark.parametrize("cache", ["dynamic", "static"])
    def test_the_cache_of_generation_shrinks(self, kind, cache):
        model = pruned(model_of(kind))
        output = model.generate(
            tokens(8), max_new_tokens=4, do_sample=False, pad_token_id=0, eos_token_id=None,
            cache_implementation=None if cache == "dynamic" else "static",
            return_dict_in_generate=True,
        )  # fmt: skip
        assert output.sequences.shape == (2, 12)
        assert output.past_key_values.layers[0].keys.shape[1] == 1

    def test_cached_steps_give_what_whole_ones_give(self):
        model = pruned(model_of("llama"))
        x = tokens(8)
        whole = model(x).logits[:, -1]
        cache = model(x[:, :-1], use_cache=True).past_key_values
        last = model(x[:, -1:], past_key_values=cache).logits[:, -1]
        torch.testing.assert_close(last, whole, rtol=1e-4, atol=1e-4)


class TestArchitectures:
    @pytest.mark.parametrize("kind", [{}, {"kind": "sliding_window", "window": 8}])
    def test_units_shrink(self, kind):
        model = network(**kind)
        assert units(pruned(model)) == [("heads", 2), ("feed_forward", 48)] * 2
        assert model(tokens()).shape == (2, 32, 512)

    def test_keys_that_are_queries_are_not_known(self):
        with pytest.raises(InvalidRequest, match=r"/strategy/compression/0/parts/0: .* not known"):
            pruned(network(kind="lsh", num_hashes=1, num_buckets=4, chunk_size=8))


class TestChoice:
    def test_unknown_models_are_refused(self):
        with pytest.raises(InvalidRequest, match="feed_forward of Sequential is not known"):
            pruned(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), parts=["feed_forward"])

    def test_modules_name_which(self):
        model = pruned(model_of("llama"), modules=["*.layers.1.mlp"])
        counts = [count for part, count in units(model) if part == "feed_forward"]
        assert counts == [256, 128]
        assert model.config.num_key_value_heads == 2

    def test_a_global_threshold_takes_the_worst_of_the_whole_model(self):
        model = model_of("llama")
        with torch.no_grad():
            model.model.layers[0].mlp.down_proj.weight.mul_(1e-3)
        counts = [
            n for part, n in units(pruned(model, 0.4, allocation="global")) if part != "heads"
        ]
        assert counts[0] < 64 < counts[1]

    def test_calibration_makes_up_for_what_goes(self):
        """Numerical scores with compensation lose less of the logits than magnitudes do."""
        batches = [{"input_ids": tokens(64)}]
        x = batches[0]["input_ids"]
        exact = model_of("llama")(x).logits
        errors = {}
        for score in ("numerical", "magnitude"):
            model = model_of("llama")
            choice = {"score": score, "parts": ["feed_forward"]}
            pruned(model, 0.5, calibration=batches, **choice)
            errors[score] = (model(x).logits - exact).norm().item()
        assert errors["numerical"] < 0.9 * errors["magnitude"]
