"""The table of ops: arguments as torch declares them, and no other."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from planner.catalogue import layer_ops
from planner.models.layers.functions import FUNCTIONS
from planner.models.layers.ops import ops

OWN = {"Parameter", "Mamba", "TriOrientedMamba"}  # which torch does not have
MODULES = [name for name, op in ops().items() if op.is_module and name not in OWN]


def test_the_table_can_be_listed():
    listed = json.loads(json.dumps(layer_ops()))
    conv = next(entry for entry in listed if entry["name"] == "Conv2d")
    assert conv["kind"] == "module"
    assert conv["inputs"] == {"min": 1, "max": 1}
    assert conv["arguments"]["in_channels"] == {"type": "an integer", "required": True}
    assert conv["arguments"]["stride"]["default"] == 1


@pytest.mark.parametrize("name", MODULES)
def test_arguments_of_modules_are_those_of_torch(name):
    op, cls = ops()[name], getattr(nn, name)
    base = nn.RNNBase if op.recurrent else cls
    known = {*inspect.signature(base.__init__).parameters, "nonlinearity"}
    assert {*op.arguments, *op.fixed} - op.forward <= known
    assert op.forward <= {*inspect.signature(cls.forward).parameters}
    for argument in op.arguments.values():
        if not argument.is_required:
            argument.parsed(argument.default)  # torch's own default is of the type


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_names_of_torch(name):
    homes = (torch, torch.Tensor, F)
    assert any(callable(getattr(home, name, None)) for home in homes)


@pytest.mark.parametrize(
    ("op", "argument", "value", "parsed"),
    [
        ("Conv2d", "kernel_size", [3, 5], (3, 5)),
        ("Conv2d", "padding", "same", "same"),
        ("BatchNorm1d", "momentum", None, None),
        ("BatchNorm1d", "eps", 1, 1.0),
        ("AdaptiveAvgPool2d", "output_size", [None, 7], (None, 7)),
        ("Upsample", "scale_factor", 2, 2.0),
        ("LayerNorm", "normalized_shape", [4, 4], [4, 4]),
        ("TransformerEncoderLayer", "activation", "gelu", "gelu"),
        ("reshape", "shape", ["batch", -1], ["batch", -1]),
        ("mean", "dim", [1, 2], [1, 2]),
    ],
)
def test_values_become_those_of_torch(op, argument, value, parsed):
    assert ops()[op].arguments[argument].parsed(value) == parsed


@pytest.mark.parametrize(
    ("op", "argument", "value"),
    [
        ("Conv2d", "kernel_size", [3, 5, 7]),
        ("Conv2d", "kernel_size", 1.5),
        ("Conv2d", "bias", 1),
        ("Conv2d", "in_channels", None),
        ("Embedding", "num_embeddings", "8"),
        ("TransformerEncoderLayer", "activation", "os.system"),
        ("LSTM", "num_layers", 65),
        ("chunk", "chunks", 5_000),
    ],
)
def test_values_of_another_type_are_refused(op, argument, value):
    with pytest.raises(ValueError, match="is not"):
        ops()[op].arguments[argument].parsed(value)


def test_what_torch_returns_nested_is_numbered():
    op = ops()["LSTM"]
    module = op.make({"input_size": 2, "hidden_size": 3})
    output, states = module(torch.zeros(4, 5, 2))
    assert [tuple(t.shape) for t in (output, *states)] == [(4, 5, 3), (1, 4, 3), (1, 4, 3)]
