"""The graph of a description: which value comes from where, and what is wrong with that."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx

from planner.errors import FieldProblem
from planner.models.layers.description import LayersModel

Graph = Any  # networkx has no type information


@dataclass(frozen=True, order=True)
class Value:
    """One tensor: an input of the model, or the output of a node with this number."""

    source: str
    index: int = 0

    @classmethod
    def parse(cls, reference: str) -> Value:
        """`name` is the first output, `name:1` the second."""
        source, _, index = reference.partition(":")
        return cls(source, int(index or 0))

    def __str__(self) -> str:
        return f"{self.source}:{self.index}" if self.index else self.source


def wire(description: LayersModel) -> Graph:
    """Nodes by name, with an edge from each to those that take its outputs."""
    graph = nx.DiGraph()
    graph.add_nodes_from(node.name for node in description.nodes)
    for node in description.nodes:
        sources = (Value.parse(reference).source for reference in node.inputs)
        graph.add_edges_from((source, node.name) for source in sources if source in graph)
    return graph


def order_of(description: LayersModel, graph: Graph) -> list[str]:
    """Names of the nodes as they are executed: as listed, as far as their inputs allow."""
    position = {node.name: index for index, node in enumerate(description.nodes)}
    return list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))


def wiring_problems(description: LayersModel) -> list[FieldProblem]:
    """Names that clash, references to nothing, values that nobody uses, and cycles."""
    problems = [*_name_problems(description), *_reference_problems(description)]
    if problems:
        return problems
    graph = wire(description)
    return [*_cycle_problems(description, graph)] or [*_unused_problems(description, graph)]


def _name_problems(description: LayersModel) -> Iterator[FieldProblem]:
    seen = set(description.inputs)
    groups = {
        ".".join(parts[:depth])
        for parts in (node.name.split(".") for node in description.nodes)
        for depth in range(1, len(parts))
    }
    for index, node in enumerate(description.nodes):
        here = f"/model/nodes/{index}/name"
        if node.name in seen:
            yield FieldProblem(here, f"there is another {node.name!r}", "give each its own name")
        elif node.name in groups:
            yield FieldProblem(
                here,
                f"{node.name!r} is also the group of {node.name}.*",
                f"name it {node.name}.{(node.op or 'node').lower()}, for example",
            )
        seen.add(node.name)
    for name in description.inputs:
        if name in groups:
            yield FieldProblem(
                f"/model/inputs/{name}", f"there are nodes {name}.*", "give it another name"
            )


def _reference_problems(description: LayersModel) -> Iterator[FieldProblem]:
    known = [*description.inputs, *(node.name for node in description.nodes)]
    sources = set(known)
    for index, node in enumerate(description.nodes):
        yield from _dangling(f"/model/nodes/{index}/inputs", node.inputs, sources, description)
    yield from _dangling("/model/outputs", description.outputs, sources, description)


def _dangling(
    pointer: str, references: Iterable[str], sources: set[str], description: LayersModel
) -> Iterator[FieldProblem]:
    for place, reference in enumerate(references):
        value = Value.parse(reference)
        here = f"{pointer}/{place}"
        if value.source not in sources:
            close = difflib.get_close_matches(value.source, sources, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "name an input or a node"
            yield FieldProblem(here, f"there is no {value.source!r}", hint)
        elif value.source in description.inputs and value.index:
            yield FieldProblem(
                here, f"{value.source!r} is an input, one tensor", f"write {value.source!r}"
            )


def _cycle_problems(description: LayersModel, graph: Graph) -> Iterator[FieldProblem]:
    indices = {node.name: index for index, node in enumerate(description.nodes)}
    for members in nx.strongly_connected_components(graph):
        first = min(members, key=indices.__getitem__)
        if len(members) == 1 and not graph.has_edge(first, first):
            continue
        cycle = [edge[0] for edge in nx.find_cycle(graph.subgraph(members), first)]
        shown = cycle if len(cycle) <= 8 else [*cycle[:4], "...", *cycle[-3:]]
        yield FieldProblem(
            f"/model/nodes/{indices[first]}/inputs",
            f"{' -> '.join([*shown, cycle[0]])} is a cycle",
            "remove one of these inputs; recurrence is what RNN, LSTM and GRU are for",
        )


def _unused_problems(description: LayersModel, graph: Graph) -> Iterator[FieldProblem]:
    outputs = {Value.parse(reference).source for reference in description.outputs}
    used = Counter(Value.parse(each).source for node in description.nodes for each in node.inputs)
    for name in description.inputs:
        if not used[name] and name not in outputs:
            yield FieldProblem(
                f"/model/inputs/{name}", f"no node takes {name!r}", "use it, or remove it"
            )
    reached = set(outputs).intersection(graph)
    pending = list(reached)
    while pending:
        new = set(graph.predecessors(pending.pop())) - reached
        reached |= new
        pending += new
    for index, node in enumerate(description.nodes):
        if node.name not in reached:
            yield FieldProblem(
                f"/model/nodes/{index}",
                f"no output depends on {node.name!r}",
                "add it to the inputs of a node or to outputs, or remove it",
            )
