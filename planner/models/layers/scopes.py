"""Which parts of a graph are called as one module, by the names of their nodes.

The nodes of `stem.*` are a group, called as one module where that is possible: where no path leaves
the group and comes back (the contracted graph stays acyclic). Otherwise, and where a group only
numbers others (`down.0`, `down.1`, ...), it is a container that is never called itself, as
`nn.ModuleDict` and `nn.ModuleList` are.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx

from planner.models.layers.wiring import Graph


@dataclass
class Scope:
    """A group that is called as one module.

    Attributes:
        path: the common beginning of its nodes' names; empty for the whole model.
        items: its nodes (names) and the groups called inside, as they are executed.
    """

    path: str
    items: list[str | Scope]


def arrange(graph: Graph, order: list[str]) -> Scope:
    """The whole graph as one scope, with those inside.

    Args:
        order: of execution, were there no groups.
    """
    position = {name: index for index, name in enumerate(order)}
    return _scope("", order, graph, position, _numbering(order))


def is_numbered(path: str) -> bool:
    """Whether a group is one of several that only a number tells apart, such as `down.0`."""
    parent, _, last = path.rpartition(".")
    return bool(parent) and last.isdigit()


def _numbering(names: list[str]) -> set[str]:
    """Groups whose members are all numbered groups."""
    members: dict[str, set[str]] = {}
    groups: set[str] = set()
    for name in names:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            group = ".".join(parts[:depth])
            groups.add(group)
            members.setdefault(group, set()).add(".".join(parts[: depth + 1]))
    return {
        group
        for group, inside in members.items()
        if all(is_numbered(path) and path in groups for path in inside)
    }


def _scope(
    path: str, names: list[str], graph: Graph, position: dict[str, int], numbering: set[str]
) -> Scope:
    opened = {path} | numbering
    while True:
        contracted, members = _contract(path, names, graph, opened)
        # A cycle of items must pass through groups: that of the nodes themselves has none. Groups
        # outside of cycles stay outside when others are opened, so few rounds are needed: as many
        # as names have parts.
        tangled = {
            item
            for component in nx.strongly_connected_components(contracted)
            if len(component) > 1
            for item in component
            if item not in position
        }
        if not tangled:
            break
        opened |= tangled
    first = {item: min(position[name] for name in inside) for item, inside in members.items()}
    items: list[str | Scope] = [
        item if item in position else _scope(item, members[item], graph, position, numbering)
        for item in nx.lexicographical_topological_sort(contracted, key=first.__getitem__)
    ]
    return Scope(path, items)


def _contract(
    path: str, names: list[str], graph: Graph, opened: set[str]
) -> tuple[Graph, dict[str, list[str]]]:
    """The graph of the items of a scope, and the nodes in each."""
    item_of = {name: _item(path, name, opened) for name in names}
    members: dict[str, list[str]] = {}
    for name, item in item_of.items():
        members.setdefault(item, []).append(name)
    contracted = nx.DiGraph()
    contracted.add_nodes_from(members)
    for name, item in item_of.items():
        for after in graph.successors(name):
            other = item_of.get(after, item)
            if other != item:
                contracted.add_edge(item, other)
    return contracted, members


def _item(path: str, name: str, opened: set[str]) -> str:
    """The outermost group around a node, inside of a scope, that is not opened; or the node."""
    parts = name.split(".")
    for depth in range(path.count(".") + 2 if path else 1, len(parts)):
        group = ".".join(parts[:depth])
        if group not in opened:
            return group
    return name
