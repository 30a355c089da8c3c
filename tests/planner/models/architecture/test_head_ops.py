"""Heads of each operation against their formulas, and FlexiBERT's dictionaries."""

import math

import pytest
import torch
from transformers import BertConfig, BertModel

from planner.architecture import ArchitectureModel
from planner.architecture.attention import Heads
from planner.architecture.flexibert import flexibert
from planner.models.architecture.build import build_network
from planner.models.architecture.dense import EagerMixer
from planner.models.architecture.feed_forward import DeepFeedForward
from planner.models.architecture.head_ops import (
    CosineMixer,
    SpanConvolution,
    WeightedMixer,
    build_heads,
    cosine_transform,
)

B, A, S, D = 2, 3, 7, 4


@pytest.fixture
def qkv():
    torch.manual_seed(0)
    return torch.randn(3, B, A, S, D, dtype=torch.float64).unbind()


def cosines(size):
    """DCT-II as a matrix: 2 cos(pi (2 n + 1) k / 2 N)."""
    n, k = torch.arange(size, dtype=torch.float64), torch.arange(size, dtype=torch.float64)
    return 2 * torch.cos(math.pi * (2 * n + 1) * k[:, None] / (2 * size))


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_the_cosine_transform_is_its_sum(size):
    x = torch.randn(3, size, dtype=torch.float64)
    torch.testing.assert_close(cosine_transform(x), x @ cosines(size).T)


def test_a_cosine_head_transforms_tokens_and_width(qkv):
    x = qkv[0].float()
    expected = cosines(S).float() @ x @ cosines(D).float().T
    torch.testing.assert_close(CosineMixer()(x), expected, atol=1e-4, rtol=1e-5)


def test_a_fourier_head_transforms_tokens_and_width(qkv):
    x = qkv[0].float()
    spec = Heads.model_validate({"kind": "heads", "heads": [{"op": "dft"}] * A})
    (mixer,) = build_heads(A * D, spec).mixer.transforms
    angles = {
        n: 2 * math.pi * torch.outer(torch.arange(n), torch.arange(n)).double() / n for n in (S, D)
    }
    turns = {n: torch.polar(torch.ones_like(angle), -angle) for n, angle in angles.items()}
    expected = (turns[S] @ x.to(torch.complex128) @ turns[D]).real.float()
    torch.testing.assert_close(mixer(x), expected, atol=1e-4, rtol=1e-5)


def test_weighted_attention_scores_by_a_matrix(qkv):
    q, k, v = qkv
    mixer = WeightedMixer(A, D, EagerMixer(False, 0.0)).double()
    for head in range(A):
        scores = q[:, head] @ mixer.weight[head] @ k[:, head].transpose(1, 2) / math.sqrt(D)
        expected = scores.softmax(-1) @ v[:, head]
        torch.testing.assert_close(mixer(q, k, v)[:, head], expected)


def test_a_span_convolution_weighs_the_values_around_a_token(qkv):
    q, k, v = qkv
    size, half = 3, 1
    layer = SpanConvolution(A, D, size).double()
    mixed = layer(q, k, v)
    depthwise = layer.depthwise.weight.view(A, D, size)
    for head in range(A):
        values = v[:, head] @ layer.value[head] + layer.value_bias[head]
        for token in range(S):
            around = [token + step for step in range(-half, half + 1)]
            span = sum(
                k[:, head, place] * depthwise[head, :, step]
                for step, place in enumerate(around)
                if 0 <= place < S
            )
            span = span @ layer.pointwise[head] + layer.pointwise_bias[head]
            kernel = (span * q[:, head, token]) @ layer.kernel[head] + layer.kernel_bias[head]
            weights = kernel.softmax(-1)
            expected = sum(
                weights[:, step, None] * values[:, place]
                for step, place in enumerate(around)
                if 0 <= place < S
            )
            torch.testing.assert_close(mixed[:, head, token], expected)


def test_heads_of_one_operation_are_computed_at_once():
    ops = ["sdp", "dft", "sdp", "dct", "wma"]
    spec = Heads.model_validate({"kind": "heads", "heads": [{"op": op} for op in ops]})
    attention = build_heads(5 * D, spec)
    assert attention.mixer.scored_heads == [2, 1]
    assert attention.mixer.transform_heads == [1, 1]
    assert attention.q_proj.out_features == 3 * D  # transforms need no queries
    x = torch.randn(B, S, 5 * D)
    v = attention.v_proj(x).unflatten(-1, (-1, D)).transpose(1, 2)
    q, k = (
        proj(x).unflatten(-1, (-1, D)).transpose(1, 2)
        for proj in (attention.q_proj, attention.k_proj)
    )
    dense, weighted = attention.mixer.scored
    fourier, cosine = attention.mixer.transforms
    heads = [
        dense(q[:, :2], k[:, :2], v[:, :2]),
        weighted(q[:, 2:], k[:, 2:], v[:, 2:3]),
        fourier(v[:, 3:4]),
        cosine(v[:, 4:]),
    ]
    expected = attention.out_proj(torch.cat(heads, dim=1).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(x), expected)


def test_a_deep_feed_forward_is_its_layers():
    layer = DeepFeedForward(6, [8, 4], "relu", True, None)
    x = torch.randn(B, S, 6)
    first, second = layer.layers
    expected = layer.down_proj(second(first(x).relu()).relu())
    torch.testing.assert_close(layer(x), expected)


def network(model_dict, **more):
    fields = flexibert(model_dict, vocab_size=64, max_positions=16, **more)
    model = ArchitectureModel.model_validate(
        {"source": "architecture", "task": "fill-mask", **fields}
    )
    return build_network(model, 16)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_bert_tiny_has_the_parameters_of_berts_encoder():
    tiny = {"l": 2, "o": [["sa_sdp_64"] * 2] * 2, "h": [128] * 2, "f": [[512]] * 2}
    config = BertConfig(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
    )
    with torch.device("meta"):
        assert count(network(tiny).groups) == count(BertModel(config).encoder)


def test_a_layer_of_one_operation_is_heads_of_it():
    fields = flexibert(
        {"l": 2, "o": ["sa", "c"], "p": ["wma", 9], "n": [2, 4], "h": [64, 32], "f": [[8], [8, 8]]}
    )
    first, second = fields["blocks"]
    assert first["attention"]["heads"] == [{"op": "wma"}] * 2
    assert second["attention"]["heads"] == [{"op": "conv", "kernel_size": 9}] * 4
    assert (first["attention"]["head_dim"], second["attention"]["head_dim"]) == (32, 8)
    assert second["feed_forward"]["intermediate_size"] == [8, 8]


def test_a_linear_map_leads_from_width_to_width():
    widths = {"l": 3, "o": [["l_dft_16"] * 2] * 3, "h": [32, 64, 64], "f": [[16]] * 3}
    built = network(widths)
    ((index, (linear,)),) = built.transitions.items()
    assert (index, linear.in_features, linear.out_features) == ("1", 32, 64)
    assert built.norm(torch.zeros(1, 64)).shape == (1, 64)
    assert built.embedding.word_embeddings.weight.shape == (64, 32)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"l": 1, "o": [["sa_sdp_64"]], "h": [64]},
        {"l": 2, "o": [["sa_sdp_64"]], "h": [64], "f": [[8]]},
        {"l": 1, "o": [["sa_dft_64"]], "h": [64], "f": [[8]]},
        {"l": 1, "o": [["sa_sdp_64", "sa_sdp_32"]], "h": [64], "f": [[8]]},
        {"l": 1, "o": [["sa"]], "h": [64], "f": [[8]]},
    ],
)
def test_what_is_no_dictionary_of_flexibert_is_refused(wrong):
    with pytest.raises(ValueError, match="no model dictionary of FlexiBERT"):
        flexibert(wrong)
