import io

import networkx as nx
import pytest

from planner.devices import BUILTIN
from planner.graph import build_graph, collapse, graphml, node_link
from planner.trace import trace
from tests.planner.requests import request


@pytest.fixture(scope="module")
def tape():
    return trace(request("gpt2"), BUILTIN["cpu"])


@pytest.fixture(scope="module")
def graph(tape):
    return build_graph(tape)


def test_ops_form_a_directed_acyclic_graph_in_program_order(graph):
    assert nx.is_directed_acyclic_graph(graph)
    ops = [int(node[2:]) for node in graph if node.startswith("op")]
    assert ops == sorted(ops)
    assert all(int(a[2:]) < int(b[2:]) for a, b in graph.edges if a.startswith("op"))


def test_forward_products_lead_to_the_backward_of_their_module(graph):
    products = [
        (node, data)
        for node, data in graph.nodes(data=True)
        if data["kind"] == "op" and data["name"] == "aten.addmm" and data["module"].endswith("c_fc")
    ]
    assert len(products) == 2
    for node, data in products:
        assert data["phase"] == "step1.forward"
        assert data["flops"] == 2 * (2 * 32) * 128 * 512  # 2 B*S H 4H
        later = {graph.nodes[n]["phase"] for n in nx.descendants(graph, node)}
        assert "step1.backward" in later


def test_parameters_are_data_nodes(graph):
    names = {data["name"] for _, data in graph.nodes(data=True) if data["kind"] == "data"}
    assert "transformer.wte.weight" in names
    assert "input_ids" in names


@pytest.mark.parametrize("depth", [0, 1, 3, 9])
def test_collapsing_keeps_the_sums(graph, depth):
    small = collapse(graph, depth)
    assert sum(data["ops"] for _, data in small.nodes(data=True)) == sum(
        data["kind"] == "op" for _, data in graph.nodes(data=True)
    )
    for key in ("flops", "bytes_read", "bytes_written"):
        assert sum(data.get(key, 0) for _, data in small.nodes(data=True)) == sum(
            data.get(key, 0) for _, data in graph.nodes(data=True)
        )
    inside = sum(data["internal_bytes"] for _, data in small.nodes(data=True))
    between = sum(data["bytes"] for *_, data in small.edges(data=True))
    assert inside + between == sum(data["bytes"] for *_, data in graph.edges(data=True))
    assert all(len(data["name"].split(".")) <= max(depth, 1) for _, data in small.nodes(data=True))


def test_both_formats_read_back(graph):
    again = nx.node_link_graph(node_link(graph), edges="edges")
    assert nx.utils.graphs_equal(again, graph)
    read = nx.read_graphml(io.BytesIO(graphml(graph)))
    assert set(read) == set(graph)
    assert read.number_of_edges() == graph.number_of_edges()


def test_another_step_and_a_missing_one(tape, graph):
    first = build_graph(tape, step=0)
    assert {data["phase"].split(".")[0] for _, data in first.nodes(data=True)} <= {"step0", ""}
    with pytest.raises(ValueError, match="step7"):
        build_graph(tape, step=7)
