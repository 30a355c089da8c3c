"""Everything about a graph of layers that can be known wrong before it is built."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import prod

from torch import Tensor, nn

from planner.errors import FieldProblem
from planner.models.layers.description import MAX_NODES, LayersModel, LayersNode
from planner.models.layers.module import LayersNetwork
from planner.models.layers.ops import UNBOUNDED, Op, ops
from planner.models.layers.scopes import is_numbered
from planner.models.layers.shapes import NodeProblem, Shapes, infer_shapes
from planner.models.layers.wiring import Value, wiring_problems
from planner.request import SimulationRequest, Workload

Found = Iterator[FieldProblem]

MAX_ELEMENTS = 2**40  # of one input, as the bound on a workload's tokens
MAX_WEIGHT = MAX_NODES
LABELS = "labels"


def layers_problems(request: SimulationRequest) -> list[FieldProblem]:
    """What is wrong with the description, and with what is asked of it."""
    description, workload = request.model, request.workload
    assert isinstance(description, LayersModel)
    problems = [*_request_problems(request, description), *_input_problems(description, workload)]
    problems += _weight_problems(description)
    by_name = {node.name: node for node in reversed(description.nodes)}  # the first of a name
    local = [
        problem
        for index, node in enumerate(description.nodes)
        for problem in _node_problems(f"/model/nodes/{index}", node, by_name)
    ]
    wrong = [*local, *wiring_problems(description)]
    wrong = wrong or list(_in_place_problems(description))
    if not wrong and not any(problem.pointer.startswith("/model") for problem in problems):
        wrong = list(_shape_problems(description, workload))
    return [*problems, *wrong]


# ------------------------------------------------------------------ what is asked


def _request_problems(request: SimulationRequest, description: LayersModel) -> Found:
    workload, strategy = request.workload, request.strategy
    if workload.mode == "generation":
        yield FieldProblem(
            "/workload/mode", "a graph of layers does not generate", 'use "train" or "inference"'
        )
    for name in ("target_length", "image_size"):
        if getattr(workload, name) is not None:
            yield FieldProblem(
                f"/workload/{name}",
                "shapes of a graph of layers are in /model/inputs",
                "leave it out, and change the shapes",
            )
    if strategy.attention is not None:
        yield FieldProblem(
            "/strategy/attention",
            "the nodes of a graph of layers say themselves how attention is computed",
            "leave it out",
        )
    if strategy.checkpointing == "full" and not numbered_blocks(description):
        yield FieldProblem(
            "/strategy/checkpointing",
            "no group of nodes is numbered, so there is no repeated block to recompute",
            "name the nodes of blocks such as blocks.0.conv, blocks.1.conv; or plan",
        )


def numbered_blocks(description: LayersModel) -> list[str]:
    """Outermost groups that a number tells apart, such as `down.0`, in the order of the nodes."""
    found: dict[str, None] = {}
    for node in description.nodes:
        parts = node.name.split(".")
        paths = (".".join(parts[:depth]) for depth in range(2, len(parts)))
        block = next((path for path in paths if is_numbered(path)), None)
        if block is not None:
            found[block] = None
    return list(found)


# ------------------------------------------------------------------ nodes and inputs


def _input_problems(description: LayersModel, workload: Workload) -> Found:
    sized = description.with_sizes(workload.batch_size, workload.sequence_length)
    for name, spec in sized.inputs.items():
        if name == LABELS:
            yield FieldProblem(
                f"/model/inputs/{name}", "is the name of the loss's labels", "choose another"
            )
        elements = workload.batch_size * prod(size for size in spec.shape if isinstance(size, int))
        if elements > MAX_ELEMENTS:
            yield FieldProblem(
                f"/model/inputs/{name}/shape",
                f"a batch of it has {elements} elements, over 2^40",
                "make it, or the batch, smaller",
            )


def _node_problems(here: str, node: LayersNode, by_name: Mapping[str, LayersNode]) -> Found:
    yield from _part_problems(here, node.name)
    if node.op is None:
        yield from _reuse_problems(here, node, by_name)
        return
    op = ops().get(node.op)
    if op is None:
        yield _unknown_op(here, node)
        return
    yield from _argument_problems(here, node, op)
    yield from _arity_problems(here, node, op)


def _weight_problems(description: LayersModel) -> Found:
    table = ops()
    weight = sum(
        table[node.op].weight_of(node.args) for node in description.nodes if node.op in table
    )
    if weight > MAX_WEIGHT:
        yield FieldProblem(
            "/model/nodes",
            f"the nodes are worth {weight} plain layers, over {MAX_WEIGHT}",
            "use fewer nodes, or fewer layers in recurrent ones",
        )


def _part_problems(here: str, name: str) -> Found:
    for part in name.split("."):
        if part in _attributes():
            yield FieldProblem(
                f"{here}/name",
                f"{part!r} is an attribute that torch.nn.Module has itself",
                f"choose another, such as {part}_",
            )


@lru_cache
def _attributes() -> frozenset[str]:
    network = LayersNetwork([], [], "mean")
    return frozenset({*dir(network), *dir(nn.ModuleDict())})


def _unknown_op(here: str, node: LayersNode) -> FieldProblem:
    close = difflib.get_close_matches(node.op or "", ops(), n=3)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    return FieldProblem(
        f"{here}/op", f"{node.name}: unknown op {node.op!r}", f"{hint}GET /v1/models lists the ops"
    )


def _argument_problems(here: str, node: LayersNode, op: Op) -> Found:
    for name, value in node.args.items():
        pointer = f"{here}/args/{name.replace('~', '~0').replace('/', '~1')}"
        if name in op.fixed:
            if value != op.fixed[name]:
                yield FieldProblem(
                    pointer, f"{node.name}: dimension 0 is the batch here", "leave it out"
                )
        elif name not in op.arguments:
            close = difflib.get_close_matches(name, op.arguments, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            takes = ", ".join(op.arguments) or "none"
            yield FieldProblem(
                pointer,
                f"{node.name}: {op.name} takes no argument {name!r}",
                f"{hint}It takes {takes}",
            )
        else:
            try:
                op.arguments[name].parsed(value)
            except ValueError as error:
                yield FieldProblem(
                    pointer, f"{node.name}: {error}", f"give {op.arguments[name].expected}"
                )
    missing = [n for n, each in op.arguments.items() if each.is_required and n not in node.args]
    if missing:
        yield FieldProblem(
            f"{here}/args", f"{node.name}: {op.name} needs {', '.join(missing)}", "add them"
        )


def _arity_problems(here: str, node: LayersNode, op: Op) -> Found:
    count = len(node.inputs)
    if op.min_inputs <= count <= op.max_inputs:
        return
    most = "" if op.max_inputs == UNBOUNDED else f" to {op.max_inputs}"
    wanted = str(op.min_inputs) if op.min_inputs == op.max_inputs else f"{op.min_inputs}{most}"
    if op.max_inputs == UNBOUNDED:
        wanted += " or more"
    yield FieldProblem(
        f"{here}/inputs", f"{node.name}: {op.name} takes {wanted} inputs, not {count}", None
    )


def _reuse_problems(here: str, node: LayersNode, by_name: Mapping[str, LayersNode]) -> Found:
    other = by_name.get(node.reuse or "")
    pointer = f"{here}/reuse"
    if other is None:
        yield FieldProblem(pointer, f"{node.name}: there is no node {node.reuse!r}", "name a node")
    elif other.op is None:
        yield FieldProblem(
            pointer, f"{node.name}: {node.reuse!r} reuses another itself", f"write {other.reuse!r}"
        )
    elif (op := ops().get(other.op)) is not None:
        if not op.is_module:
            yield FieldProblem(
                pointer, f"{node.name}: {op.name} is a function, without weights", "give it as op"
            )
        yield from _arity_problems(here, node, op)


def _in_place_problems(description: LayersModel) -> Found:
    """What is overwritten must be of no use to any other node."""
    uses: dict[Value, int] = {}
    for references in (description.outputs, *(node.inputs for node in description.nodes)):
        for reference in references:
            uses[Value.parse(reference)] = uses.get(Value.parse(reference), 0) + 1
    nodes = {node.name: node for node in description.nodes}
    for index, node in enumerate(description.nodes):
        origin = nodes[node.reuse] if node.reuse is not None else node
        if origin.args.get("inplace") is not True:
            continue
        value = Value.parse(node.inputs[0])
        if value.source in description.inputs or uses[value] > 1:
            owner = "an input" if value.source in description.inputs else "used elsewhere too"
            yield FieldProblem(
                f"/model/nodes/{index}",
                f"{node.name}: in place it would overwrite {str(value)!r}, which is {owner}",
                "leave inplace out",
            )


# ------------------------------------------------------------------ shapes


def _shape_problems(description: LayersModel, workload: Workload) -> Found:
    training = workload.mode == "train"
    sized = description.with_sizes(workload.batch_size, workload.sequence_length)
    try:
        shapes = infer_shapes(sized, workload.batch_size, training)
    except NodeProblem as error:
        yield error.problem
        return
    yield from _output_problems(description, shapes)
    if training and not shapes.parameter_count:
        yield FieldProblem(
            "/model/nodes", "no node has parameters, so there is nothing to train", 'add a "Linear"'
        )


def _output_problems(description: LayersModel, shapes: Shapes) -> Found:
    for index, reference in enumerate(description.outputs):
        tensor = shapes.values.get(Value.parse(reference))
        here = f"/model/outputs/{index}"
        if tensor is None:
            yield FieldProblem(here, f"there is no {reference!r}", "name an output that it has")
        elif problem := _loss_problem(description.loss, tensor):
            yield FieldProblem(here, f"{reference}: {problem}", "see /model/loss in the documents")


def _loss_problem(loss: str, output: Tensor) -> str | None:
    if not output.is_floating_point():
        return f"a loss needs floating-point numbers, not {output.dtype}"
    if loss == "cross_entropy" and output.dim() < 2:
        return f"cross_entropy needs [batch, classes, ...], not {list(output.shape)}"
    return None
