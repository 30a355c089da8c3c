"""Which groups of names are called as one module."""

from __future__ import annotations

import networkx as nx

from planner.models.layers.scopes import Scope, arrange


def scopes(edges, nodes=()):
    """Paths of the groups that are called, and the execution order of all nodes."""
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from(edges)
    order = list(nx.topological_sort(graph))
    called, executed = [], []

    def walk(scope):
        for item in scope.items:
            if isinstance(item, Scope):
                called.append(item.path)
                walk(item)
            else:
                executed.append(item)

    walk(arrange(graph, order))
    assert sorted(executed) == sorted(graph)
    position = {name: index for index, name in enumerate(executed)}
    assert all(position[a] < position[b] for a, b in graph.edges)
    return called


def test_a_group_is_called():
    assert scopes([("stem.conv", "stem.act"), ("stem.act", "head")]) == ["stem"]


def test_groups_nest():
    assert scopes([("a.b.x", "a.b.y"), ("a.b.y", "a.z")]) == ["a", "a.b"]


def test_what_only_numbers_blocks_is_not_called_itself():
    edges = [("down.0.x", "down.0.y"), ("down.0.y", "down.1.x"), ("down.1.x", "down.1.y")]
    assert scopes(edges) == ["down.0", "down.1"]


def test_numbered_layers_of_a_group_are_no_blocks():
    assert scopes([("seq.0", "seq.1"), ("seq.1", "seq.2")]) == ["seq"]


def test_a_group_that_a_path_leaves_and_enters_again_is_not_called():
    edges = [("level.down", "middle"), ("middle", "level.up"), ("level.up", "head.x")]
    assert scopes(edges) == ["head"]


def test_its_inner_groups_are():
    edges = [
        *[("level.down.x", "level.down.y"), ("level.down.y", "middle")],
        *[("middle", "level.up.x"), ("level.up.x", "level.up.y")],
    ]
    assert scopes(edges) == ["level.down", "level.up"]


def test_two_groups_that_feed_each_other_are_not_called():
    assert scopes([("a.x", "b.x"), ("b.y", "a.y")]) == []
