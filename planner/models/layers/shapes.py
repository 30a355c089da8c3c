"""Shapes of all values of a graph, by executing it on meta tensors, node by node.

Every op runs torch's own shape rules, on tensors without data: what torch would refuse on real
tensors it refuses here, and the node is known. Limitation: all floating-point numbers are fp32
here, so an op without a kernel for another precision only fails when the step is executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from planner.errors import FieldProblem
from planner.models.layers.assemble import arguments_of, origin_of
from planner.models.layers.description import LayersModel, LayersNode
from planner.models.layers.ops import Op, ops, tensors_of
from planner.models.layers.wiring import Value, order_of, wire

META = torch.device("meta")


class NodeProblem(Exception):
    """Torch refuses a node."""

    def __init__(self, problem: FieldProblem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@dataclass
class Shapes:
    """What is known of a graph's values.

    Attributes:
        values: as meta tensors.
        parameter_count: of all modules, each counted once.
    """

    values: dict[Value, Tensor] = field(default_factory=dict)
    parameter_count: int = 0

    def of(self, references: list[str]) -> list[Tensor]:
        """The tensors of references that exist."""
        return [self.values[Value.parse(reference)] for reference in references]


def infer_shapes(description: LayersModel, batch_size: int, training: bool) -> Shapes:
    """Execute a wired description with sizes, whose arguments have been checked, on meta tensors.

    Raises:
        NodeProblem: names the node that torch refuses; those after it are not known.
    """
    shapes = Shapes()
    with torch.device(META), torch.no_grad():
        for name, spec in description.inputs.items():
            dtype = torch.int64 if spec.dtype == "int" else torch.float32
            shapes.values[Value(name)] = torch.empty(spec.size(batch_size), dtype=dtype)
        _Inference(description, shapes, training).run()
    return shapes


class _Inference:
    def __init__(self, description: LayersModel, shapes: Shapes, training: bool) -> None:
        self._description = description
        self._shapes = shapes
        self._training = training
        self._nodes = {node.name: node for node in description.nodes}
        self._pointers = {
            node.name: f"/model/nodes/{index}" for index, node in enumerate(description.nodes)
        }
        self._modules: dict[str, nn.Module] = {}

    def run(self) -> None:
        for name in order_of(self._description, wire(self._description)):
            node = self._nodes[name]
            try:
                results = self._results(node)
            except NodeProblem:
                raise
            except Exception as error:  # whatever torch raises, the node caused it
                raise NodeProblem(self._refused(node, error)) from error
            for index, tensor in enumerate(results):
                if tensor is not None:
                    self._shapes.values[Value(name, index)] = tensor

    def _results(self, node: LayersNode) -> list[Tensor | None]:
        origin = origin_of(node, self._nodes)
        op = ops()[origin.op or ""]
        args = arguments_of(origin, op)
        inputs = list(self._inputs(node))
        if not op.is_module:
            return tensors_of(op.make(args)(*inputs))
        module = self._module(origin, op)
        if op.recurrent and inputs[0].dim() == 3:
            return _recurrent(module, inputs[0])
        return tensors_of(module(*inputs, **op.keywords(args)))

    def _module(self, node: LayersNode, op: Op) -> nn.Module:
        if node.name not in self._modules:
            try:
                module = op.make(arguments_of(node, op))
            except Exception as error:
                raise NodeProblem(self._unmade(node, error)) from error
            assert isinstance(module, nn.Module)
            self._modules[node.name] = module.train(self._training)
            self._shapes.parameter_count += sum(each.numel() for each in module.parameters())
        return self._modules[node.name]

    def _inputs(self, node: LayersNode) -> Iterator[Tensor]:
        for place, reference in enumerate(node.inputs):
            value = Value.parse(reference)
            if value not in self._shapes.values:
                has = max(v.index for v in self._shapes.values if v.source == value.source) + 1
                raise NodeProblem(
                    FieldProblem(
                        f"{self._pointers[node.name]}/inputs/{place}",
                        f"{value.source!r} has no output {value.index}",
                        f"it has {has}, numbered from 0",
                    )
                )
            yield self._shapes.values[value]

    def _unmade(self, node: LayersNode, error: Exception) -> FieldProblem:
        """A constructor's refusal, at the argument that it speaks of."""
        detail = _message(error)
        named = [name for name in node.args if name in detail]
        here = f"{self._pointers[node.name]}/args"
        if named:
            here = f"{here}/{max(named, key=len)}"
        return FieldProblem(
            here,
            f"{node.name}: torch.nn.{node.op} refuses it: {detail}",
            "see that class in torch's documentation",
        )

    def _refused(self, node: LayersNode, error: Exception) -> FieldProblem:
        """A call's refusal, with the shapes that it was given."""
        given = ", ".join(
            f"{reference} {list(tensor.shape)}"
            for reference, tensor in zip(node.inputs, self._inputs(node), strict=True)
        )
        origin = origin_of(node, self._nodes)
        args = ", ".join(f"{name}={value}" for name, value in origin.args.items())
        return FieldProblem(
            self._pointers[node.name],
            f"{node.name}: {origin.op}({args}) cannot take {given or 'nothing'}: {_message(error)}",
            "change its arguments, or what comes before it; shapes have the batch in front",
        )


def _recurrent(module: nn.Module, sequence: Tensor) -> list[Tensor | None]:
    """One step of it, repeated: on meta tensors torch would walk along the whole sequence."""
    output, *states = tensors_of(module(sequence[:, :1]))
    assert output is not None
    return [output.expand(-1, sequence.shape[1], -1).contiguous(), *states]


def _message(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
