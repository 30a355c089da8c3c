"""Which layers are compressed, in which order, and what is refused."""

import gc
import weakref

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from planner.compress import compress_model
from planner.compress.linear_layers import chosen_layers
from planner.compress.quantized import NF4Linear
from planner.compress.sparse import BitmaskLinear
from planner.compression import Compression
from planner.errors import InvalidRequest
from tests.planner.compress.models import model_of, network, tokens

ADAPTER = TypeAdapter(list[Compression])
NF4 = {"kind": "quantization", "format": "nf4"}
BITMASK = {"kind": "sparse", "storage": "bitmask", "sparsity": 0.6}


def compressed(model, *choices):
    return compress_model(model, ADAPTER.validate_python(list(choices)))


class TestChoice:
    @pytest.mark.parametrize(
        ("kind", "head"),
        [("gpt2", "lm_head"), ("llama", "lm_head"), ("bert", "cls.predictions.decoder")],
    )
    def test_the_output_head_stays(self, kind, head):
        model = model_of(kind)
        compressed(model, NF4)
        left = [name for name, module in model.named_modules() if type(module) is nn.Linear]
        assert left == [head]
        assert model(tokens()).logits.isfinite().all()

    def test_a_classifier_is_a_head_too(self):
        model = nn.ModuleDict({"body": nn.Linear(8, 8), "classifier": nn.Linear(8, 2)})
        assert chosen_layers(model, None, "") == ["body"]

    def test_patterns_name_which(self):
        model = compressed(model_of("llama"), {**NF4, "modules": ["*.q_proj", "lm_head"]})
        found = [name for name, module in model.named_modules() if isinstance(module, NF4Linear)]
        assert [name.rpartition(".")[2] for name in found] == ["q_proj", "q_proj", "lm_head"]

    def test_a_pattern_for_nothing_is_an_error_at_its_place(self):
        with pytest.raises(InvalidRequest) as caught:
            compressed(model_of("llama"), BITMASK, {**NF4, "modules": ["*", "*.nothing"]})
        assert caught.value.errors[0].pointer == "/strategy/compression/1/modules/1"

    def test_a_model_with_a_head_alone_has_nothing_to_compress(self):
        with pytest.raises(InvalidRequest, match="besides its output head"):
            compressed(nn.Sequential(nn.Flatten(), nn.ReLU()), NF4)

    def test_projections_that_others_read_stay(self):
        model = nn.Sequential(nn.MultiheadAttention(8, 2), nn.Linear(8, 8), nn.Linear(8, 2))
        assert chosen_layers(model, ["*"], "") == ["1", "2"]

    def test_shared_layers_stay_shared(self):
        shared = nn.Linear(8, 8)
        model = nn.ModuleDict({"a": nn.Sequential(shared), "b": nn.Sequential(shared)})
        compressed(model, {**BITMASK, "modules": ["*"]})
        assert model["a"][0] is model["b"][0]
        assert isinstance(model["a"][0], BitmaskLinear)


class TestOrder:
    def test_choices_follow_each_other(self):
        model = compressed(
            model_of("llama"),
            {"kind": "structural_pruning", "ratio": 0.5},
            {"kind": "low_rank", "rank": 4, "modules": ["*.down_proj"]},
            {**NF4},
        )
        down = model.model.layers[0].mlp.down_proj
        assert isinstance(down.down, NF4Linear)
        assert (down.down.in_features, down.down.out_features) == (128, 4)
        assert model(tokens()).logits.isfinite().all()

    def test_old_weights_are_free_one_layer_after_the_other(self):
        model = model_of("llama")
        weights = [
            weakref.ref(module.weight)
            for name, module in model.named_modules()
            if type(module) is nn.Linear and name != "lm_head"
        ]
        compressed(model, NF4)
        gc.collect()
        assert not any(weight() is not None for weight in weights)

    def test_training_mode_stays(self):
        for training in (True, False):
            model = compressed(model_of("gpt2").train(training), NF4)
            assert all(module.training is training for module in model.modules())


class TestModels:
    @pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
    @pytest.mark.parametrize(
        "choice",
        [
            {"kind": "quantization", "format": "int8"},
            {"kind": "low_rank", "rank": 128},
            {"kind": "sparse", "storage": "bitmask", "sparsity": 0.001},
            {"kind": "sparse", "storage": "csr", "sparsity": 0.001},
        ],
        ids=lambda choice: str(choice.get("format") or choice.get("storage") or "low_rank"),
    )
    def test_little_compression_changes_little(self, kind, choice):
        """Transposed matrices (`Conv1D`) and biases arrive where they belong."""
        x = tokens()
        exact = model_of(kind)(x).logits
        ours = compressed(model_of(kind), choice)(x).logits
        assert (ours - exact).norm() < 0.02 * exact.norm()

    def test_architectures_have_layers_too(self):
        model = compressed(network(), NF4)
        assert model(tokens()).isfinite().all()

    def test_two_of_four_needs_fours(self):
        model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
        with pytest.raises(InvalidRequest, match="6 inputs, which are no fours"):
            compressed(model, {"kind": "sparse", "storage": "2:4", "modules": ["0"]})

    def test_csr_has_no_16_bit_product_on_a_cpu(self):
        model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2)).to(torch.bfloat16)
        with pytest.raises(InvalidRequest, match=r"no torch\.bfloat16 kernel"):
            compressed(model, {"kind": "sparse", "storage": "csr", "modules": ["0"]})


class TestSchema:
    @pytest.mark.parametrize(
        "choice",
        [
            {"kind": "quantization", "format": "int8", "block_size": 64},
            {"kind": "quantization", "format": "nf4", "block_size": 48},
            {"kind": "sparse", "storage": "2:4", "sparsity": 0.7},
            {"kind": "sparse", "storage": "csr", "sparsity": 1},
            {"kind": "low_rank"},
            {"kind": "low_rank", "rank": 4, "energy": 0.5},
            {"kind": "structural_pruning", "ratio": 0.5, "parts": []},
            {"kind": "low_rank", "rank": 4, "modules": ["a b"]},
        ],
    )
    def test_contradictions_are_refused(self, choice):
        with pytest.raises(ValidationError):
            ADAPTER.validate_python([choice])
