"""Whole networks: what is shared, tied, counted, and that every parameter learns."""

import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    MambaConfig,
    MambaForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

from planner.architecture import ArchitectureModel
from planner.devices import BUILTIN
from planner.models.architecture.build import build_network
from planner.models.architecture.positions import AxialPositions, Rotary, SinusoidalPositions
from planner.presets import PRESETS
from planner.trace import trace
from tests.planner.models.architecture.descriptions import EVERY, build, heads, request, tokens


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def paper(name):
    model = PRESETS[name].description("paper")
    with torch.device("meta"):
        return build_network(model, model.max_tokens)


@pytest.mark.parametrize("name", EVERY)
def test_one_step_moves_every_parameter(name):
    torch.manual_seed(0)
    network, inputs = build(request(**EVERY[name]))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    loss = network(**inputs)
    loss.backward()
    # Some gradients are so small that a usual step would be lost in the parameter's rounding.
    torch.optim.SGD(network.parameters(), lr=1e3).step()
    assert torch.isfinite(loss)
    still = [n for n, p in network.named_parameters() if torch.equal(p, before[n])]
    # Softmax does not change when all scores of a query do: a key's bias has no gradient.
    assert all(n.endswith(("k_proj.bias", "k_proj.up.bias")) for n in still)


@pytest.mark.parametrize(
    "name", ["decoder dense", "decoder reversible", "decoder shared", "merging", "pruning images"]
)
def test_checkpointing_changes_no_gradient(name):
    network, inputs = build(request(**EVERY[name]))
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        network(**inputs).backward()
        found.append([p.grad for p in network.parameters()])
        network.zero_grad()
        network.gradient_checkpointing_enable({"use_reentrant": False})
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_a_shared_block_is_one_module():
    network, _ = build(request(share="all", repeat=3))
    first, *others = network.groups[0].blocks
    assert all(block is first for block in others)
    network, _ = build(request(share="attention", repeat=3))
    first, second, _ = network.groups[0].blocks
    assert first.attention.function is second.attention.function
    assert first.feed_forward.function is not second.feed_forward.function


def test_albert_has_the_librarys_parameters_without_its_pooler_and_types():
    config = AlbertConfig(
        hidden_size=768, num_attention_heads=12, intermediate_size=3_072, vocab_size=30_000
    )
    with torch.device("meta"):
        library = AlbertModel(config, add_pooling_layer=False)
    ours = paper("albert-shared")
    types_and_norm = 2 * 128 + 2 * 128  # of the library's embedding
    head = count(ours.lm_head) - ours.embedding.word_embeddings.weight.numel()
    assert count(ours) - head == count(library) - types_and_norm


def test_rev_vit_has_the_parameters_of_vit():
    with torch.device("meta"):
        library = ViTForImageClassification(ViTConfig(num_labels=1_000))
    assert count(paper("rev-vit")) == count(library)


def test_mamba_blocks_have_the_parameters_of_the_librarys_model():
    with torch.device("meta"):
        library = MambaForCausalLM(MambaConfig(num_hidden_layers=24))
    assert count(paper("mamba-blocks")) == count(library)


def test_the_sparse_transformers_blocks_have_the_published_parameters():
    assert round(count(paper("sparse-transformer").groups) / 1e6) == 95


def test_memoryformers_blocks_have_the_parameters_of_their_formula():
    tables, hidden, bits = 64, 512, 8
    width = (bits + 2) * tables
    per_block = (tables << bits) * (3 * hidden + width) + (tables << bits + 2) * hidden
    layers = (m for m in paper("memoryformer").modules() if type(m).__name__ == "MemoryLayer")
    assert sum(layer.weight.numel() for layer in layers) == 6 * per_block


@pytest.mark.parametrize(("hidden", "num_heads", "dense"), [(512, 8, 10.7), (768, 12, 20.9)])
def test_a_block_has_the_published_multiply_accumulates(hidden, num_heads, dense):
    """MemoryFormer, table 1: S = 2048. Its own figures for tables are 6 K S d in all (4.7 and 7.4
    G with attention); what its equations read are 3 d + 1.25 d + d numbers from each of K tables.
    """
    length, bits = 2_048, 8

    def multiply_accumulates(**blocks):
        model = {"hidden_size": hidden, "embedding": tokens(max_positions=length)}
        workload = {"batch_size": 1, "sequence_length": length, "mode": "inference"}
        asked = request("feature-extraction", model=model, workload=workload, repeat=1, **blocks)
        return int(trace(asked, BUILTIN["cpu"]).op_flops.sum()) // 2

    attention = heads("dense", num_heads=num_heads)
    assert multiply_accumulates(attention=attention) / 1e9 == pytest.approx(dense, abs=0.05)
    memory = {"kind": "memory", "bits": bits}
    read = 5.25 * hidden / bits * length * hidden
    found = multiply_accumulates(attention={**attention, "projection": memory}, feed_forward=memory)
    assert found == 2 * length**2 * hidden + read


def test_linformer_shares_its_projections_as_described():
    matrices = {"none": 2 * 2 * 4, "headwise": 2 * 2, "key-value": 2, "layerwise": 1}
    for sharing, expected in matrices.items():
        attention = heads("linformer", k=8, sharing=sharing)
        network, _ = build(request("fill-mask", attention=attention))
        numbers = sum(p.numel() for n, p in network.named_parameters() if n[-2:] in (".e", ".f"))
        assert numbers == expected * 8 * 32


def test_layers_may_differ_in_turn():
    network, _ = build(request(attention=[heads("dense"), {"kind": "none"}], repeat=4))
    with_attention = [block.attention is not None for block in network.groups[0].blocks]
    assert with_attention == [True, False, True, False]


def test_axial_positions_are_a_row_beside_a_column():
    positions = AxialPositions((4, 8), (3, 5))
    whole = positions(20)
    assert whole.shape == (20, 8)
    torch.testing.assert_close(whole[19, :3], positions.rows[2, 0])
    torch.testing.assert_close(whole[19, 3:], positions.columns[0, 3])


def test_sinusoidal_positions_of_odd_width():
    table = SinusoidalPositions(10, 5)(10)
    assert table.shape == (10, 5)
    torch.testing.assert_close(table[3, :2], torch.tensor([3.0]).sin().new_tensor(
        [torch.tensor(3.0).sin(), torch.tensor(3.0).cos()]
    ))  # fmt: skip


def test_rotary_scores_depend_on_distance_only():
    rotary = Rotary(32, 8)
    q, k = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 32, 8).unbind()
    scores = rotary(q) @ rotary(k).transpose(-1, -2)
    torch.testing.assert_close(scores[..., 5, 3], scores[..., 20, 18])


def test_frozen_parameters_get_no_gradient():
    asked = request(model={"freeze": ["embedding.*"], "embedding": tokens()})
    network, inputs = build(asked)
    network(**inputs).backward()
    assert network.embedding.word_embeddings.weight.grad is None
    assert network.groups[0].blocks[0].attention.norm.weight.grad is not None


def test_descriptions_survive_json():
    model = request(**EVERY["decoder alternating"]).model
    assert ArchitectureModel.model_validate_json(model.model_dump_json()) == model
