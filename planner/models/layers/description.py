"""The description of a graph of layers, as validated data. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from planner.data import Data
from planner.fine_tuning import Frozen, Trained

MAX_NODES = 5_000
MAX_DIMENSIONS = 8
MAX_DEPTH = 8  # parts of a node's name
MAX_LIST = 64  # elements of a list among arguments

_PART = r"[A-Za-z0-9_]+"
_NAME = rf"^{_PART}(\.{_PART}){{0,{MAX_DEPTH - 1}}}$"

Name = Annotated[str, Field(max_length=200, pattern=_NAME)]
InputName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Reference = Annotated[str, Field(max_length=210, pattern=rf"{_NAME[:-1]}(:\d{{1,4}})?$")]
Size = Annotated[int, Field(ge=1, le=2**31)]
Symbol = Literal["batch", "sequence_length"]


class LayersInput(Data):
    """What one sample of an input is."""

    shape: list[Size | Literal["sequence_length"]] = Field(
        max_length=MAX_DIMENSIONS - 1,
        description="of one sample: the batch, which the workload decides, is put in front; "
        '"sequence_length" stands for the workload\'s',
    )
    dtype: Literal["float", "int"] = Field(
        "float", description="float: normally distributed, in the workload's precision; int: int64"
    )
    high: int | None = Field(
        None, ge=1, le=2**31, description="int: values are drawn from 0 up to it, excluded"
    )

    def size(self, batch_size: int) -> tuple[int, ...]:
        """Of a batch, once there are numbers instead of symbols."""
        return (batch_size, *map(int, self.shape))

    @model_validator(mode="after")
    def _is_whole(self) -> LayersInput:
        if self.dtype == "int" and self.high is None:
            raise ValueError("high is needed where dtype is int; add it, such as a vocabulary size")
        if self.dtype == "float" and self.high is not None:
            raise ValueError("high has a meaning only where dtype is int; leave it out")
        return self


class LayersNode(Data):
    """One module or function of the graph."""

    name: Name = Field(
        description="unique; dots make parts: the nodes of `down.0` are called as one module"
    )
    op: str | None = Field(
        None, max_length=100, description="by torch's own name; GET /v1/models lists them"
    )
    args: dict[Annotated[str, Field(max_length=100)], Any] = Field(
        {}, max_length=32, description="the op's own arguments, by torch's names"
    )
    inputs: list[Reference] = Field(
        [],
        max_length=MAX_LIST,
        description="names of inputs and nodes; `name:1` is the second output of a node",
    )
    reuse: Name | None = Field(
        None, description="instead of op: call the module of that node again, weights shared"
    )

    @field_validator("args")
    @classmethod
    def _are_plain(cls, args: dict[str, Any]) -> dict[str, Any]:
        for name, value in args.items():
            values = value if isinstance(value, list) else [value]
            if len(values) > MAX_LIST or not all(map(_is_scalar, values)):
                raise ValueError(
                    f"{name} is no number, string, true, false, null or list of those; "
                    f"write one, lists with at most {MAX_LIST} elements"
                )
        return args

    @model_validator(mode="after")
    def _has_one_op(self) -> LayersNode:
        if self.op is None and self.reuse is None:
            raise ValueError('needs an op; add one, such as "Linear"')
        if self.reuse is not None and (self.op is not None or self.args):
            raise ValueError("reuse takes op and args from another node; leave them out")
        return self


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 200
    if isinstance(value, int):
        return abs(value) <= 2**31
    return value is None or (isinstance(value, float) and math.isfinite(value))


class LayersModel(Data):
    """Any network, as a graph of modules and functions of `torch.nn`."""

    source: Literal["layers"]
    inputs: dict[InputName, LayersInput] = Field(
        min_length=1, max_length=MAX_LIST, description="name -> what one sample of it is"
    )
    nodes: list[LayersNode] = Field(
        min_length=1,
        max_length=MAX_NODES,
        description="executed in this order, as far as their inputs allow",
    )
    outputs: list[Reference] = Field(min_length=1, max_length=MAX_LIST)
    loss: Literal["mean", "cross_entropy", "mse"] = Field(
        "mean",
        description="of training, summed over the outputs. mean: of the output itself; "
        "cross_entropy: with class indices, the classes being dimension 1; mse: with a target of "
        "the output's shape",
    )
    freeze: Frozen = Field([])
    train: Trained = Field([])

    def with_sizes(self, batch_size: int, sequence_length: int) -> LayersModel:
        """The description with numbers instead of the symbols in its shapes."""
        sizes = {"batch": batch_size, "sequence_length": sequence_length}

        def number(value: Any) -> Any:
            return sizes.get(value, value) if isinstance(value, str) else value

        nodes = [
            node.model_copy(update={"args": _mapped_lists(node.args, number)})
            for node in self.nodes
        ]
        inputs = {
            name: spec.model_copy(update={"shape": [number(size) for size in spec.shape]})
            for name, spec in self.inputs.items()
        }
        return self.model_copy(update={"inputs": inputs, "nodes": nodes})


def _mapped_lists(args: dict[str, Any], number: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        name: [number(each) for each in value] if isinstance(value, list) else value
        for name, value in args.items()
    }
