"""Only what is meant to learn gets gradients: frozen parameters, adapters of low rank."""

import pytest
import torch

from planner.architecture import ArchitectureModel
from planner.devices import BUILTIN
from planner.errors import InvalidRequest
from planner.models.architecture.adapter import Adapter
from planner.models.architecture.job import build_architecture
from planner.request import Workload
from planner.simulation import simulate
from planner.strategy import Strategy
from planner.trace import trace
from tests.planner.models.architecture.descriptions import LENGTH, build, heads, request, tokens

BITFIT = {"freeze": ["*"], "train": ["*bias", "classifier.*"]}
CLASSES = {"task": "text-classification"}


def learned(network, inputs):
    """Names of the parameters that have a gradient after one backward."""
    network(**inputs).backward()
    return {name for name, p in network.named_parameters() if p.grad is not None}


def trainable(network):
    return {name for name, p in network.named_parameters() if p.requires_grad}


def test_what_is_frozen_and_named_again_learns():
    network, inputs = build(request(**CLASSES, model=BITFIT))
    biases = {name for name, _ in network.named_parameters() if name.endswith("bias")}
    assert trainable(network) == biases | {"classifier.weight"}
    assert learned(network, inputs) == trainable(network)


def test_a_map_whose_weight_is_frozen_saves_no_input():
    def saved_bytes(**model):
        """What the second step's forward leaves for backward."""
        blocks = {"attention": {"kind": "none"}, "norm": "none"}
        feed_forward = {"kind": "dense", "activation": "relu"}
        asked = request(**CLASSES, **blocks, feed_forward=feed_forward, model=model)
        phases = simulate(trace(asked, BUILTIN["cpu"])).phases
        ends = {phase.name: phase.end_bytes for phase in phases}
        return ends["step1.forward"] - ends["step0.zero_grad"]

    stream = 2 * LENGTH * 32 * 4  # B S H in fp32: the first map's input; relu's output is saved
    assert saved_bytes() - saved_bytes(**BITFIT) == 2 * stream  # in each of two blocks


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ({"freeze": ["*"], "train": ["*.biases"]}, "/model/train/0"),
        ({"train": ["*.bias"]}, "/model/train"),
        ({"freeze": ["*"], "train": ["a b"]}, "/model/train/0"),
        ({"lora": {"target_modules": ["query"]}}, "/model/lora/target_modules"),
        ({"lora": {"target_modules": []}}, "/model/lora/target_modules"),
    ],
)
def test_what_cannot_learn_is_refused(model, field):
    with pytest.raises(InvalidRequest) as caught:
        build(request(**CLASSES, model=model))
    assert [problem.pointer for problem in caught.value.errors] == [field]


@pytest.mark.parametrize(
    ("targets", "per_block"), [(None, 2), (["out_proj"], 1), ("all-linear", 6)]
)
def test_low_rank_adapters_alone_learn(targets, per_block):
    lora = {"r": 4, "target_modules": targets}
    network, inputs = build(request(**CLASSES, model={"lora": lora}))
    adapters = {name for name, _ in network.named_parameters() if "lora_" in name}
    assert learned(network, inputs) == trainable(network) == adapters
    assert not any(".classifier." in name for name in adapters)
    assert len(adapters) == 2 * per_block * 2  # A and B, in two blocks


def test_a_classifier_can_learn_beside_low_rank_adapters():
    model = {"lora": {"r": 4}, "train": ["*classifier*"]}
    network, inputs = build(request(**CLASSES, model=model))
    names = learned(network, inputs)
    assert all("lora_" in name or ".classifier." in name for name in names)
    assert sum(".classifier." in name for name in names) == 2


@pytest.mark.parametrize("blocks", [{}, {"share": "all"}, {"residual": "reversible"}])
def test_recomputed_blocks_train_adapters_over_a_frozen_embedding(blocks):
    asked = request(**CLASSES, model={"lora": {"r": 4}, "embedding": tokens()}, **blocks)
    found = []
    for checkpointing in ("none", "full"):
        torch.manual_seed(0)
        strategy = Strategy(checkpointing=checkpointing)
        network = build_architecture(asked.model, asked.workload, strategy, "cpu")
        _, inputs = build(asked)
        learned(network, inputs)
        found.append([p.grad for p in network.parameters() if p.requires_grad])
    assert len(found[0]) == (4 if blocks.get("share") else 8)
    assert all(gradient is not None for gradient in found[0])
    for plain, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_rank_4_adapters_of_gpt3_have_the_published_number_of_parameters():
    # LoRA, table 4 and section 4.2: q and v of 96 layers, 35 MB in fp16 (36.0 MiB).
    model = ArchitectureModel.model_validate(
        {
            "source": "architecture",
            "hidden_size": 12_288,
            "embedding": tokens(vocab_size=50_257, max_positions=2_048),
            "blocks": [
                {
                    "repeat": 96,
                    "attention": heads("dense", num_heads=96),
                    "feed_forward": {"kind": "dense"},
                }
            ],
            "lora": {"r": 4},
        }
    )
    network = build_architecture(model, Workload(), Strategy(), "meta")
    adapters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert adapters == 18_874_368
    assert 2 * adapters == 36 * 2**20
    assert round(sum(p.numel() for p in network.parameters()) / 1e9) == 175


ADAPTERS = {"freeze": ["*"], "train": ["*.adapter.*", "*norm.*", "classifier.*"]}


@pytest.mark.parametrize("form", [{}, {"norm_position": "post"}, {"residual": "reversible"}])
@pytest.mark.parametrize(("after", "count"), [("both", 2), ("attention", 1), ("feed_forward", 1)])
def test_an_adapter_has_the_parameters_of_its_formula(form, after, count):
    network, inputs = build(request(**CLASSES, **form, adapter={"size": 4, "after": after}))
    own = {name: p.numel() for name, p in network.named_parameters() if ".adapter." in name}
    assert sum(own.values()) == 2 * count * (2 * 32 * 4 + 32 + 4)  # two blocks
    assert after == "both" or all(f".{after}.adapter." in name for name in own)
    assert own.keys() <= learned(network, inputs)


def test_an_adapter_starts_close_to_the_identity_and_adds_its_maps():
    torch.manual_seed(0)
    layer, x = Adapter(32, 4, "relu").double(), torch.randn(2, 8, 32, dtype=torch.float64)
    torch.testing.assert_close(layer(x), x, atol=1e-3, rtol=0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    down, up = layer.down_proj, layer.up_proj
    inner = (x @ down.weight.T + down.bias).clamp(min=0)
    torch.testing.assert_close(layer(x), x + inner @ up.weight.T + up.bias)


@pytest.mark.parametrize("form", [{"share": "all", "norm_position": "post"}, {}])
def test_tasks_add_what_is_their_own_and_nothing_else(form):
    first = ["*.adapter.tasks.0.*", "*norm.tasks.0.*", "classifier.tasks.0.*"]

    def built(tasks, **model):
        model = {"num_tasks": tasks, **model}
        return build(request(**CLASSES, **form, adapter={"size": 4}, model=model))

    def counted(network):
        """Numbers of a task's own parameters, and of the backbone's."""
        own = [0, 0]
        for name, parameter in network.named_parameters():
            is_own = any(part in name for part in ("adapter", "norm.", "classifier"))
            own[not is_own] += parameter.numel()
        return own

    (one, backbone), (three, same) = (counted(built(tasks)[0]) for tasks in (1, 3))
    assert (three, same) == (3 * one, backbone)
    network, inputs = built(3, freeze=["*"], train=first)
    names = learned(network, inputs)
    assert names == trainable(network)
    assert all(".tasks.0." in name for name in names)


def test_blocks_that_share_all_keep_adapters_of_their_own():
    """adapter-ALBERT (arXiv 2303.16100): own adapters and classifier over a frozen backbone."""
    asked = request(**CLASSES, share="all", repeat=3, adapter={"size": 4}, model=ADAPTERS)
    network, inputs = build(asked)
    first, *others = network.groups[0].blocks
    for block in others:
        assert block.attention.function is first.attention.function
        assert block.feed_forward.norm is first.feed_forward.norm
        assert block.feed_forward.adapter is not first.feed_forward.adapter
    names = learned(network, inputs)
    assert names == trainable(network)
    assert sum(".adapter." in name for name in names) == 3 * 2 * 4
    assert not any(".function." in name or "embedding" in name for name in names)
