"""Weight compression: a built model's linear layers made smaller, in place.

Quantisation, sparse storage, structural pruning and low-rank factors are done to real and fake
weights by the same code, one layer after the other, so that the peak of doing it is the
full-precision model and one layer's temporaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from planner.compress.linear_layers import chosen_layers, replace_each
from planner.compress.low_rank import factorised
from planner.compress.pruning import Calibration, prune_structures
from planner.compress.quantized import Int8Linear, NF4Linear, Tables
from planner.compress.sparse import BitmaskLinear, CSRLinear, TwoOfFourLinear, mask
from planner.compression import Compression, LowRank, Quantization, Sparse, StructuralPruning
from planner.errors import InvalidRequest

__all__ = ["compress_model"]

POINTER = "/strategy/compression"


def compress_model(
    model: nn.Module, compression: Sequence[Compression], *, calibration: Calibration | None = None
) -> nn.Module:
    """Compress a model's linear layers in place, one choice after the other.

    Quantised and sparse weights (but masked ones) become buffers: they get no gradient, so only
    what is left, and adapters that are added later, can train. Make the optimizer afterwards.

    Args:
        model: any module; its structure must be known for structural pruning.
        compression: of a strategy.
        calibration: batches for the numerical score of structural pruning.

    Returns:
        The model.

    Raises:
        InvalidRequest: a pattern matches nothing, or the model or its layers cannot be compressed
            so; earlier choices are done by then.
    """
    for index, choice in enumerate(compression):
        pointer = f"{POINTER}/{index}"
        if isinstance(choice, StructuralPruning):
            prune_structures(model, choice, calibration, pointer)
            continue
        paths = chosen_layers(model, choice.modules, pointer)
        if isinstance(choice, Sparse) and choice.storage == "masked":
            for path in paths:
                mask(model.get_submodule(path), choice.sparsity)
            continue
        with torch.no_grad():
            replace_each(model, paths, _change(model, choice, pointer))
    return model


def _change(
    model: nn.Module, choice: Quantization | Sparse | LowRank, pointer: str
) -> Callable[[nn.Linear], nn.Module]:
    if isinstance(choice, Quantization):
        if choice.format == "int8":
            return Int8Linear
        return partial(
            NF4Linear,
            block_size=choice.block_size,
            double_quantization=choice.double_quantization,
            tables=Tables.on(next(model.parameters()).device),
        )
    if isinstance(choice, LowRank):
        return partial(_low_rank, choice, pointer)
    return partial(_sparse, choice, pointer)


def _low_rank(choice: LowRank, pointer: str, linear: nn.Linear) -> nn.Module:
    if choice.energy is not None and isinstance(linear.weight, FakeTensor):
        raise InvalidRequest.at(
            f"{pointer}/energy",
            "the rank follows from the weights' singular values",
            "give rank, or use planner.compress on real weights",
        )
    return factorised(linear, rank=choice.rank, energy=choice.energy)


def _sparse(choice: Sparse, pointer: str, linear: nn.Linear) -> nn.Module:
    if choice.storage == "bitmask":
        return BitmaskLinear(linear, choice.sparsity)
    if choice.storage == "2:4":
        if linear.in_features % 4:
            raise InvalidRequest.at(
                f"{pointer}/storage",
                f"a layer has {linear.in_features} inputs, which are no fours",
                "leave it out by naming others in modules",
            )
        return TwoOfFourLinear(linear)
    if linear.weight.device.type == "cpu" and linear.weight.dtype.itemsize < 4:
        raise InvalidRequest.at(
            f"{pointer}/storage",
            f"torch's sparse product on a CPU has no {linear.weight.dtype} kernel",
            'use precision "fp32", or "bitmask"',
        )
    return CSRLinear(linear, choice.sparsity)
