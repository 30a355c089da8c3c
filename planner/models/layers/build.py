"""A graph of layers ready for the workload: the network and the tensors of one step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from planner.errors import InvalidRequest, ModelBuildFailed
from planner.models import initialization
from planner.models.build import freeze, parameter_dtype
from planner.models.layers.assemble import assemble
from planner.models.layers.check import LABELS, numbered_blocks
from planner.models.layers.description import LayersModel
from planner.models.layers.module import LayersNetwork
from planner.models.layers.shapes import NodeProblem, infer_shapes
from planner.models.samples import Tensors
from planner.request import Workload
from planner.strategy import UnitChoice

Inputs = dict[str, Any]


def build_network(
    description: LayersModel, workload: Workload, device: str | torch.device = "cpu"
) -> LayersNetwork:
    """The network in the workload's mode and precision.

    Under an active `FakeTensorMode` no weight is initialised; otherwise they are torch's own.

    Raises:
        InvalidRequest: a pattern to freeze matches nothing.
        ModelBuildFailed: torch refuses a module.
    """
    sized = description.with_sizes(workload.batch_size, workload.sequence_length)
    fake = torch._guards.detect_fake_mode() is not None or torch.device(device).type == "meta"
    initialise = initialization.skipped() if fake else initialization.cheap()
    dtype = parameter_dtype(workload.precision)
    try:
        with initialise, torch.device(device), _default_dtype(dtype):
            network = assemble(sized)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelBuildFailed(f"{type(error).__name__}: {error}") from error
    freeze(network, description.freeze, description.train)
    return network.train(workload.mode == "train")


def network_inputs(
    description: LayersModel, workload: Workload, device: str | torch.device = "cpu"
) -> Inputs:
    """Inputs of one forward call, with labels where the loss compares.

    Raises:
        InvalidRequest: names the node that torch refuses.
    """
    sized = description.with_sizes(workload.batch_size, workload.sequence_length)
    dtype = parameter_dtype(workload.precision)
    tensors = Tensors(batch=workload.batch_size, dtype=dtype, device=torch.device(device))
    inputs: Inputs = {}
    for name, spec in sized.inputs.items():
        shape = spec.size(workload.batch_size)
        integers = spec.dtype == "int"
        inputs[name] = (
            tensors.integers(shape, spec.high or 1) if integers else tensors.floats(*shape)
        )
    if workload.mode == "train" and description.loss != "mean":
        inputs[LABELS] = [
            _label(tensors, description.loss, shape) for shape in _output_shapes(sized, workload)
        ]
    return inputs


def recomputed_blocks(description: LayersModel) -> list[UnitChoice]:
    """What full checkpointing means for a graph: each numbered block is recomputed."""
    return [UnitChoice(module=path, action="recompute") for path in numbered_blocks(description)]


def _output_shapes(sized: LayersModel, workload: Workload) -> list[tuple[int, ...]]:
    try:
        with _disable_current_modes():  # the shapes are no part of the step
            shapes = infer_shapes(sized, workload.batch_size, training=True)
    except NodeProblem as error:
        raise InvalidRequest([error.problem]) from error
    return [tuple(tensor.shape) for tensor in shapes.of(sized.outputs)]


def _label(tensors: Tensors, loss: str, shape: tuple[int, ...]) -> Tensor:
    """Class indices without the dimension of classes, or a target of the output's shape."""
    if loss == "cross_entropy":
        return tensors.integers((shape[0], *shape[2:]), shape[1])
    return tensors.floats(*shape)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
