"""Encoder-decoders beside torch's own transformer, and what both sides share."""

import pytest
import torch
from torch import nn

from planner.models.architecture.build import build_network
from planner.models.architecture.encoder_decoder import START, shifted_right
from planner.models.architecture.network import IGNORED
from planner.presets import PRESETS
from tests.planner.models.architecture.descriptions import build, heads, request, translator

H, A, F = 32, 4, 128
POST = {"norm_position": "post", "feed_forward": {"kind": "dense", "activation": "relu"}}


def copy_attention(theirs, ours):
    projections = (ours.qkv.q_proj, ours.qkv.k_proj, ours.qkv.v_proj)
    theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
    theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())


def copy_norms(theirs, parts):
    for number, part in enumerate(parts, 1):
        # Moved away from ones and zeros, so that a norm in the wrong place shows.
        nn.init.normal_(part.norm.weight)
        nn.init.normal_(part.norm.bias)
        getattr(theirs, f"norm{number}").load_state_dict(part.norm.state_dict())


def copy_feed_forward(theirs, ours):
    theirs.linear1.load_state_dict(ours.up_proj.state_dict())
    theirs.linear2.load_state_dict(ours.down_proj.state_dict())


@torch.no_grad()
def torchs_transformer(network):
    """torch's layers with the weights of an encoder-decoder."""
    layer = {"dim_feedforward": F, "dropout": 0.0, "batch_first": True}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(H, A, **layer), 2)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(H, A, **layer), 2)
    for theirs, ours in zip(encoder.layers, network.groups[0].blocks, strict=True):
        copy_attention(theirs.self_attn, ours.attention.function)
        copy_feed_forward(theirs, ours.feed_forward.function)
        copy_norms(theirs, [ours.attention, ours.feed_forward])
    for theirs, ours in zip(decoder.layers, network.decoder.groups[0].blocks, strict=True):
        copy_attention(theirs.self_attn, ours.attention.function)
        copy_attention(theirs.multihead_attn, ours.cross_attention.function)
        copy_feed_forward(theirs, ours.feed_forward.function)
        copy_norms(theirs, [ours.attention, ours.cross_attention, ours.feed_forward])
    return encoder, decoder


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_logits_and_gradients_are_those_of_torchs_transformer(implementation):
    torch.manual_seed(0)
    asked = translator(**POST, cross_attention=heads("dense", implementation=implementation))
    network, inputs = build(request(**asked, **POST, workload={"target_length": 12}))
    encoder, decoder = torchs_transformer(network)
    ids = shifted_right(inputs["labels"])
    context = encoder(network.embedding(inputs["input_ids"]))
    causal = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
    states = decoder(network.decoder.embedding(ids), context, causal, tgt_is_causal=True)
    theirs = network.lm_head(states)
    ours = network(inputs["input_ids"], decoder_input_ids=ids)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)

    nn.functional.cross_entropy(theirs.flatten(0, 1), inputs["labels"].flatten()).backward()
    table = network.embedding.word_embeddings.weight
    expected, table.grad = table.grad, None
    network(**inputs).backward()
    torch.testing.assert_close(table.grad, expected, atol=1e-6, rtol=1e-4)
    cross = network.decoder.groups[0].blocks[0].cross_attention.function
    torch.testing.assert_close(
        cross.qkv.v_proj.weight.grad,
        decoder.layers[0].multihead_attn.in_proj_weight.grad[2 * H :],
        atol=1e-6,
        rtol=1e-4,
    )


def test_a_decoder_sees_all_of_the_input_and_no_later_target():
    torch.manual_seed(0)
    network, inputs = build(request(**translator()))
    network.eval()
    ids = inputs["labels"]
    before = network(inputs["input_ids"], decoder_input_ids=ids)
    ids[:, 20] = (ids[:, 20] + 1) % 64
    after = network(inputs["input_ids"], decoder_input_ids=ids)
    torch.testing.assert_close(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])
    inputs["input_ids"][:, -1] = (inputs["input_ids"][:, -1] + 1) % 64
    changed = network(inputs["input_ids"], decoder_input_ids=ids)
    assert not torch.allclose(after[:, 0], changed[:, 0])


def test_labels_are_shifted_and_ignored_ones_are_no_ids():
    labels = torch.tensor([[5, IGNORED, 7]])
    assert shifted_right(labels).tolist() == [[START, 5, START]]


def test_both_sides_and_the_head_have_one_table_and_own_positions():
    network, _ = build(request(**translator()))
    table = network.embedding.word_embeddings.weight
    assert network.decoder.embedding.word_embeddings.weight is table
    assert network.lm_head.weight is table
    # Planning looks modules up by path, where a module has only the first of its paths.
    assert "decoder.embedding.word_embeddings" in dict(network.named_modules())
    positions = network.decoder.embedding.positions.weight
    assert positions is not network.embedding.positions.weight


def test_the_first_transformer_has_the_parameters_that_its_sizes_give():
    model = PRESETS["transformer-base"].description("paper")
    with torch.device("meta"):
        network = build_network(model, 128)
    h, f = 512, 2_048
    attention, feed_forward, norm = 4 * (h * h + h), 2 * h * f + h + f, 2 * h
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    count = sum(p.numel() for p in network.parameters())
    assert count == 37_000 * h + 6 * (encoder + decoder)
    assert count == pytest.approx(65e6, rel=0.03)  # as printed
