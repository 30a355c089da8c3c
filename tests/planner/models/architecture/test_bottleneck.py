"""Bottleneck blocks are MobileBERT's: the library's numbers with the library's weights."""

import pytest
import torch
from transformers import MobileBertConfig, MobileBertModel

from planner.models.architecture.build import build_network
from planner.presets import PRESETS
from tests.planner.models.architecture.descriptions import build, heads, request, tokens

TINY = {
    "vocab_size": 64, "hidden_size": 32, "embedding_size": 16, "intra_bottleneck_size": 16,
    "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_feedforward_networks": 3, "max_position_embeddings": 32,
}  # fmt: skip
BLOCKS = {
    "attention": heads("dense"),
    "feed_forward": {"kind": "dense", "intermediate_size": 24, "activation": "relu"},
    "norm": "no_norm",
    "norm_position": "post",
}


def copied(ours, library):
    """Our network with the library's weights. It has no norm and no token types in the embedding:
    they are linear, so they go into the projection and the positions.
    """
    embeddings = library.embeddings
    scale, shift = embeddings.LayerNorm.weight, embeddings.LayerNorm.bias
    added = embeddings.position_embeddings.weight + embeddings.token_type_embeddings.weight[0]
    ours.embedding.word_embeddings.weight.copy_(embeddings.word_embeddings.weight)
    transformation = embeddings.embedding_transformation
    ours.embedding.projection.weight.copy_(transformation.weight * scale[:, None])
    ours.embedding.projection.bias.copy_(transformation.bias * scale)
    ours.embedding.positions.weight.copy_(added * scale + shift)
    for block, layer in zip(ours.groups[0].blocks, library.encoder.layer, strict=True):
        for own, other in pairs(block, layer):
            own.load_state_dict(other.state_dict())


def pairs(block, layer):
    """Modules that do the same."""
    attention, norms = layer.attention, layer.bottleneck
    yield block.narrow[0], norms.input.dense
    yield block.narrow[1], norms.input.LayerNorm
    qkv = block.attention.qkv
    if hasattr(norms, "attention"):
        yield qkv.narrow[0], norms.attention.dense
        yield qkv.narrow[1], norms.attention.LayerNorm
    for name, other in (("q", "query"), ("k", "key"), ("v", "value")):
        yield getattr(qkv, f"{name}_proj"), getattr(attention.self, other)
    yield block.attention.out_proj, attention.output.dense
    yield block.attention_norm, attention.output.LayerNorm
    stacked = [(ffn.intermediate, ffn.output) for ffn in layer.ffn]
    stacked.append((layer.intermediate, layer.output))
    for feed_forward, (up, down) in zip(block.feed_forwards, stacked, strict=True):
        yield feed_forward.function.up_proj, up.dense
        yield feed_forward.function.down_proj, down.dense
        yield feed_forward.norm, down.LayerNorm
    yield block.widen, layer.output.bottleneck.dense
    yield block.norm, layer.output.bottleneck.LayerNorm


@pytest.mark.parametrize(
    ("attention_input", "options"),
    [
        ("shared_key_query", {}),
        ("bottleneck", {"use_bottleneck_attention": True, "key_query_shared_bottleneck": False}),
    ],
)
@torch.no_grad()
def test_outputs_are_those_of_the_library(attention_input, options):
    torch.manual_seed(0)
    library = MobileBertModel(MobileBertConfig(**TINY, **options), add_pooling_layer=False).eval()
    for parameter in library.parameters():
        parameter.normal_(std=0.3)
    asked = request(
        "feature-extraction",
        workload={"mode": "inference"},
        model={"embedding": tokens(embedding_size=16, trigram=True)},
        bottleneck={"size": 16, "num_feed_forwards": 3, "attention_input": attention_input},
        **BLOCKS,
    )
    ours, inputs = build(asked)
    copied(ours, library)
    expected = library(**inputs).last_hidden_state
    torch.testing.assert_close(ours(**inputs), expected, rtol=1e-4, atol=1e-4)


def test_mobilebert_has_the_librarys_parameters_without_its_pooler_types_and_norm():
    with torch.device("meta"):
        library = MobileBertModel(MobileBertConfig())
        ours = build_network(PRESETS["mobilebert-blocks"].description("paper"), 128)
    counts = [sum(p.numel() for p in part.parameters()) for part in (library, library.pooler)]
    assert round(counts[0] / 1e6, 2) == 24.84
    head = sum(p.numel() for p in ours.classifier.parameters())
    found = sum(p.numel() for p in ours.parameters()) - head
    assert counts[0] - counts[1] - found == 2 * 512 + 2 * 512  # token types, and a norm
