"""Graphs as modules: their paths, their mathematics, how long values live."""

from __future__ import annotations

import copy
import weakref

import pytest
import torch
from torch import nn

from planner.models.layers.build import build_network, network_inputs
from planner.models.layers.module import Block
from planner.step import prepare
from tests.planner.models.layers.networks import NETWORKS, network, node
from tests.planner.models.layers.requests import request


def build(model, **workload):
    asked = request(model, **workload)
    torch.manual_seed(0)
    return build_network(asked.model, asked.workload), asked


LINEAR = {"in_features": 8, "out_features": 8}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_gives_every_parameter_a_gradient(name):
    job = prepare(request(NETWORKS[name]))
    loss = job.model(**job.inputs)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in job.model.parameters())


def test_modules_have_the_names_of_their_nodes():
    model, _ = build(NETWORKS["gpt"])
    paths = dict(model.named_modules())
    assert type(paths["blocks"]) is nn.ModuleDict
    assert type(paths["blocks.0"]) is type(paths["blocks.1"]) is Block
    assert type(paths["blocks.1.qkv"]) is nn.Linear
    assert "tok.weight" in model.state_dict()
    assert "blocks.0.res" not in paths  # a function


def test_a_graph_computes_what_a_hand_written_module_does():
    model, asked = build(NETWORKS["cnn"], mode="inference")
    inputs = network_inputs(asked.model, asked.workload)
    x = inputs["images"]
    x = model.p(model.r(model.b(model.c1(x))))
    x = model.a(model.s(model.g(model.c2(x)))).flatten(1)
    with torch.no_grad():
        assert torch.equal(model(**inputs), model.fc(x))


def test_groups_and_flat_names_compute_the_same():
    grouped = NETWORKS["gpt"]
    flat = copy.deepcopy(grouped)
    for each in flat["nodes"]:
        each["name"] = each["name"].replace(".", "_")
        each["inputs"] = [reference.replace(".", "_") for reference in each["inputs"]]
    flat["outputs"] = [reference.replace(".", "_") for reference in flat["outputs"]]
    (one, asked), (other, _) = build(grouped), build(flat)
    assert {type(module) for module in other.children()}.isdisjoint({Block})
    inputs = network_inputs(asked.model, asked.workload)
    assert torch.equal(one(**inputs), other(**inputs))


def test_the_order_of_nodes_is_free():
    model = NETWORKS["functions"]
    shuffled = model | {"nodes": model["nodes"][::-1]}
    (one, asked), (other, _) = build(model), build(shuffled)
    inputs = network_inputs(asked.model, asked.workload)
    assert torch.equal(one(**inputs), other(**inputs))


def test_a_reused_module_has_one_set_of_weights():
    model, _ = build(NETWORKS["vit"])
    once, _ = build(NETWORKS["vit"] | {"nodes": [
        each if "reuse" not in each else node("again", "Identity", each["inputs"])
        for each in NETWORKS["vit"]["nodes"]
    ]})  # fmt: skip
    assert model.state_dict().keys() == once.state_dict().keys()


def test_values_are_let_go_after_their_last_use():
    alive: list[int] = []
    refs: list[weakref.ref] = []
    layers = [node(f"l{i}", "Linear", f"l{i - 1}" if i else "x", **LINEAR) for i in range(4)]
    model, asked = build(network({"x": {"shape": [8]}}, layers), mode="inference")

    def watch(module, args, output):
        refs.append(weakref.ref(output))
        alive.append(sum(ref() is not None for ref in refs))

    for module in model.children():
        module.register_forward_hook(watch)
    with torch.no_grad():
        model(**network_inputs(asked.model, asked.workload))
    assert alive == [1, 2, 2, 2]


def test_outputs_of_an_inference_are_in_order():
    model, asked = build(NETWORKS["norms"], mode="inference")
    shapes = [tuple(out.shape) for out in model(**network_inputs(asked.model, asked.workload))]
    assert shapes == [(4, 16, 3), (4, 16, 20)]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "amp-bf16"])
def test_precision_decides_parameters_and_inputs(precision):
    model, asked = build(NETWORKS["mlp3d"], precision=precision)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    inputs = network_inputs(asked.model, asked.workload)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert inputs["x"].dtype == inputs["labels"][0].dtype == dtype


def test_labels_fit_the_loss():
    asked = request(NETWORKS["gpt"])
    (labels,) = network_inputs(asked.model, asked.workload)["labels"]
    assert labels.shape == (4 * 48,)
    assert labels.dtype == torch.int64
    assert int(labels.max()) < 128


def test_frozen_parameters_get_no_gradient():
    model, _ = build(NETWORKS["gpt"] | {"freeze": ["blocks.0.*"]})
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in model.named_parameters() if n.startswith("blocks.0.")}


def test_full_checkpointing_recomputes_the_numbered_blocks_with_equal_gradients():
    gradients = []
    for checkpointing in ("none", "full"):
        torch.manual_seed(0)
        job = prepare(request(NETWORKS["gpt"], strategy={"checkpointing": checkpointing}))
        calls: list[str] = []
        for path in ("blocks.0", "blocks.1", "norm"):
            module = job.model.get_submodule(path)
            first = next(iter(module.children()), module)
            first.register_forward_hook(lambda *_, path=path, calls=calls: calls.append(path))
        job.model(**job.inputs).backward()
        gradients.append([p.grad for p in job.model.parameters()])
        again = 2 if checkpointing == "full" else 1
        assert [calls.count(p) for p in ("blocks.0", "blocks.1", "norm")] == [again, again, 1]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
