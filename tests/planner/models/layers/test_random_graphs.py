"""Random graphs: correct ones pass, run, and keep their paths; broken ones name the node."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.models.layers.build import build_network, network_inputs
from tests.planner.models.layers.networks import network, node
from tests.planner.models.layers.requests import problems, request

WIDTH = 6
GROUPS = ["", "a.", "b.", "a.c.", "blocks.0.", "blocks.1.", "blocks.1.d."]
UNARY = [
    ("Linear", {"in_features": WIDTH, "out_features": WIDTH}),
    ("LayerNorm", {"normalized_shape": WIDTH}),
    ("ReLU", {}),
    ("Dropout", {"p": 0.5}),
    ("softmax", {"dim": -1}),
    ("GRU", {"input_size": WIDTH, "hidden_size": WIDTH}),
    ("Conv1d", {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1}),
]


@st.composite
def graphs(draw):
    """Values are all [batch, 4, WIDTH], so that any value fits any node."""
    nodes = [node("first", "Linear", "x", in_features=WIDTH, out_features=WIDTH)]
    for index in range(draw(st.integers(1, 12))):
        name = f"{draw(st.sampled_from(GROUPS))}n{index}"
        known = st.sampled_from(["x", *(each["name"] for each in nodes)])
        if draw(st.booleans()):
            op, args = draw(st.sampled_from(UNARY))
            nodes.append(node(name, op, draw(known), **args))
        else:
            nodes.append(
                node(name, draw(st.sampled_from(["add", "mul"])), [draw(known), draw(known)])
            )
    taken = {reference for each in nodes for reference in each["inputs"]}
    outputs = [each["name"] for each in nodes if each["name"] not in taken]
    model = network({"x": {"shape": [4, WIDTH]}}, nodes, outputs)
    return model | {"nodes": draw(st.permutations(nodes))}


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(graphs())
def test_correct_graphs_build_and_train(model):
    asked = request(model, batch_size=2)
    torch.manual_seed(0)
    built = build_network(asked.model, asked.workload)
    loss = built(**network_inputs(asked.model, asked.workload))
    loss.backward()
    assert torch.isfinite(loss)
    modules = dict(built.named_modules())
    for each in model["nodes"]:
        if each["op"][0].isupper():
            assert type(modules[each["name"]]).__name__ == each["op"]


BREAKS = {
    "op": lambda each: each | {"op": "Unheard"},
    "args": lambda each: each | {"args": each["args"] | {"unheard": 1}},
    "inputs": lambda each: each | {"inputs": ["unheard", *each["inputs"][1:]]},
    "cycle": lambda each: each | {"inputs": [each["name"], *each["inputs"][1:]]},
    "shape": lambda each: (
        each
        | {
            "op": "Linear",
            "args": {"in_features": 7, "out_features": 7},
            "inputs": each["inputs"][:1],
        }
    ),
}


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(graphs(), st.integers(0, 100), st.sampled_from(sorted(BREAKS)))
def test_broken_graphs_name_the_node(model, place, kind):
    nodes = list(model["nodes"])
    index = place % len(nodes)
    broken = BREAKS[kind](nodes[index])
    if kind == "shape":
        # An input less may leave something unused, which would be found first.
        lost = set(nodes[index]["inputs"][1:])
        model = model | {"outputs": sorted({*model["outputs"], *(lost - {"x"})})}
    nodes[index] = broken
    found = problems(model | {"nodes": nodes}, batch_size=2)
    assert any(problem.pointer.startswith(f"/model/nodes/{index}") for problem in found), found
