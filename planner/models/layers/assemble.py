"""From a description to its network: modules made, grouped and put in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from planner.models.layers.description import LayersModel, LayersNode
from planner.models.layers.module import Block, LayersNetwork, Step
from planner.models.layers.ops import Op, ops
from planner.models.layers.scopes import Scope, arrange
from planner.models.layers.wiring import Value, order_of, wire

Made = dict[str, Callable[..., Any]]
"""What computes each node, by name."""


def arguments_of(node: LayersNode, op: Op) -> dict[str, Any]:
    """A node's arguments as torch takes them.

    Raises:
        ValueError: one is not of its type.
    """
    return {name: op.arguments[name].parsed(value) for name, value in node.args.items()}


def origin_of(node: LayersNode, nodes: dict[str, LayersNode]) -> LayersNode:
    """The node whose op and arguments it has: itself, or the one it reuses."""
    return nodes[node.reuse] if node.reuse is not None else node


def assemble(description: LayersModel) -> LayersNetwork:
    """The network of a checked description with sizes, on the default device and dtype."""
    nodes = {node.name: node for node in description.nodes}
    table = ops()
    made: Made = {
        name: table[node.op].make(arguments_of(node, table[node.op]))
        for name, node in nodes.items()
        if node.op is not None
    }
    graph = wire(description)
    outputs = [Value.parse(reference) for reference in description.outputs]
    network = LayersNetwork(list(description.inputs), outputs, description.loss)
    scope = arrange(graph, order_of(description, graph))
    _Assembly(nodes, made, outputs).fill(network, scope, outputs)
    return network


class _Assembly:
    def __init__(self, nodes: dict[str, LayersNode], made: Made, outputs: list[Value]) -> None:
        self._nodes = nodes
        self._made = made
        self._outputs = frozenset(outputs)
        self._takes = {
            name: [Value.parse(reference) for reference in node.inputs]
            for name, node in nodes.items()
        }
        self._takers: dict[Value, set[str]] = {value: set() for value in outputs}
        for name, values in self._takes.items():
            for value in values:
                self._takers.setdefault(value, set()).add(name)
        self._values: dict[str, list[Value]] = {}  # of each node, those that anyone uses
        for value in sorted(self._takers):
            self._values.setdefault(value.source, []).append(value)

    def fill(self, block: Block, scope: Scope, gives: list[Value]) -> None:
        """Give a block its children and its steps, in the order of their calls."""
        steps = [
            self._call(block, scope, item)
            if isinstance(item, Scope)
            else self._node(block, scope, self._nodes[item])
            for item in scope.items
        ]
        block.set_steps(_with_last_uses(steps, set(gives)))

    def _call(self, block: Block, scope: Scope, item: Scope) -> Step:
        names = list(_names(item))
        inside = set(names)
        taken = dict.fromkeys(value for name in names for value in self._takes[name])
        takes = tuple(value for value in taken if value.source not in inside)
        gives = [v for name in names for v in self._values.get(name, ()) if self._leaves(v, inside)]
        child = Block(takes, gives)
        _add(block, item.path.removeprefix(f"{scope.path}."), child)
        self.fill(child, item, gives)
        return Step(item.path, child, takes, tuple(enumerate(gives)))

    def _leaves(self, value: Value, inside: set[str]) -> bool:
        return value in self._outputs or not inside.issuperset(self._takers[value])

    def _node(self, block: Block, scope: Scope, node: LayersNode) -> Step:
        origin = origin_of(node, self._nodes)
        call = self._made[origin.name]
        if isinstance(call, nn.Module) and origin is node:
            _add(block, node.name.removeprefix(f"{scope.path}."), call)
        op = ops()[origin.op or ""]
        return Step(
            node.name,
            call,
            tuple(self._takes[node.name]),
            tuple((value.index, value) for value in self._values[node.name]),
            keywords=op.keywords(arguments_of(origin, op)),
        )


def _names(scope: Scope) -> Iterator[str]:
    """The nodes of a scope and of those inside, as they are executed."""
    for item in scope.items:
        if isinstance(item, Scope):
            yield from _names(item)
        else:
            yield item


def _add(block: Block, path: str, module: nn.Module) -> None:
    """Put a module at a path below a block, in containers where the path has several parts."""
    parent: nn.Module = block
    *groups, name = path.split(".")
    for group in groups:
        if group not in parent._modules:
            parent.add_module(group, nn.ModuleDict())
        parent = parent.get_submodule(group)
    parent.add_module(name, module)


def _with_last_uses(steps: list[Step], kept: set[Value]) -> list[Step]:
    """The steps with what each may let go: all but what the block gives."""
    seen = set(kept)
    done = []
    for step in reversed(steps):
        last = tuple(dict.fromkeys(value for value in step.takes if value not in seen))
        seen.update(last)
        done.append(replace(step, last=last))
    return done[::-1]
