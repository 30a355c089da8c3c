"""Weight compression of a strategy: what is done to a built model's linear layers, as plain data.

Nothing here imports torch. `planner.compress` carries it out on any `torch.nn.Module`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.data import Data
from planner.errors import FieldProblem

ModulePattern = Annotated[str, Field(max_length=300, pattern=r"^[A-Za-z0-9_.*?\[\]!-]+$")]


class _Compression(Data):
    modules: list[ModulePattern] | None = Field(
        None,
        min_length=1,
        max_length=1_000,
        description="glob patterns of module paths; all but the output head when absent",
    )


class Quantization(_Compression):
    """Linear weights as integers with scales; they get no gradient."""

    kind: Literal["quantization"]
    format: Literal["int8", "nf4"] = Field(
        description="int8: a scale for each row, as torchao's weight-only layout; nf4: 4-bit "
        "NormalFloat in blocks, as bitsandbytes stores it (QLoRA, arXiv 2305.14314)"
    )
    block_size: Literal[32, 64, 128, 256, 512, 1024, 2048, 4096] = Field(
        64, description="nf4: weights that share a scale"
    )
    double_quantization: bool = Field(
        True, description="nf4: scales as 8-bit numbers too, in blocks of 256"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Quantization:
        if self.format == "int8" and {"block_size", "double_quantization"} & self.model_fields_set:
            raise ValueError("block_size and double_quantization are of nf4; leave them out")
        return self


class Sparse(_Compression):
    """The smallest weights of each layer by magnitude become zeros, and how the rest is stored."""

    kind: Literal["sparse"]
    storage: Literal["csr", "2:4", "bitmask", "masked"] = Field(
        description="csr: values, int32 columns and row starts; 2:4: two values of each four and "
        "2-bit positions; bitmask: values and a bit for each weight; masked: as "
        "torch.nn.utils.prune, which keeps everything and a mask: memory grows"
    )
    sparsity: float = Field(0.5, gt=0, lt=1, description="share of the weights that become zero")

    @model_validator(mode="after")
    def _is_whole(self) -> Sparse:
        if self.storage == "2:4" and self.sparsity != 0.5:
            raise ValueError("2:4 keeps half of the weights: sparsity must be 0.5")
        return self


class StructuralPruning(_Compression):
    """Heads and feed-forward nodes taken out: smaller matrices, and a smaller key-value cache."""

    kind: Literal["structural_pruning"]
    ratio: float = Field(gt=0, lt=1, description="share of the heads and of the nodes taken out")
    parts: list[Literal["heads", "feed_forward"]] = Field(
        ["heads", "feed_forward"],
        min_length=1,
        max_length=2,
        description="heads go in whole groups of those that share keys and values",
    )
    score: Literal["numerical", "magnitude"] = Field(
        "magnitude",
        description="numerical: Numerical Pruning's Newton scores (arXiv 2412.12441); magnitude: "
        "the norm of the weights that read the unit",
    )
    allocation: Literal["uniform", "global"] = Field(
        "uniform",
        description="uniform: the same share of each layer; global: the lowest scores of the whole "
        "model, which needs real weights (planner.compress), so no prediction can know the sizes",
    )


class LowRank(_Compression):
    """W ~ U V by truncated singular value decomposition: r (in + out) weights, which can train."""

    kind: Literal["low_rank"]
    rank: int | None = Field(None, ge=1, le=2**20, description="r, at most the matrix's own")
    energy: float | None = Field(
        None,
        gt=0,
        le=1,
        description="the smallest rank that keeps this share of the squared singular values; needs "
        "real weights (planner.compress), so no prediction can know the sizes",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> LowRank:
        if (self.rank is None) == (self.energy is None):
            raise ValueError("needs one of rank and energy")
        return self


Compression = Annotated[
    Quantization | Sparse | StructuralPruning | LowRank, Field(discriminator="kind")
]


def compression_problems(
    compression: Sequence[Compression], *, adapted: bool
) -> Iterator[FieldProblem]:
    """What a request cannot ask: sizes that no prediction knows, adapters where none can be put.

    Args:
        adapted: whether the model gets low-rank adapters.
    """
    for index, choice in enumerate(compression):
        pointer = f"/strategy/compression/{index}"
        match choice:
            case LowRank(energy=float()):
                yield FieldProblem(
                    f"{pointer}/energy", "the rank would follow from weights' numbers", "give rank"
                )
            case StructuralPruning(allocation="global"):
                yield FieldProblem(
                    f"{pointer}/allocation",
                    "how much of each layer stays would follow from weights' numbers",
                    'use "uniform"',
                )
            case Sparse(storage="masked") if adapted:
                yield FieldProblem(
                    f"{pointer}/storage",
                    "adapters cannot be put on masked layers, whose weight is made at each forward",
                    'use "bitmask", or leave out /model/lora',
                )
