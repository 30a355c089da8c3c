"""TensorIterator of a reduction: its dimensions as the kernel meets them.

Source: aten/src/ATen/TensorIterator.cpp (`reorder_dimensions`, `coalesce_dimensions`,
`can_use_32bit_indexing`, `get_dim_to_split`, `split`): `reorder_dimensions` read in copies of main,
the others known from earlier versions. The output's strides are those of a contiguous result, 0 in
reduced dimensions (aten/src/ATen/native/ReduceOpsUtils.h: `review_reduce_result`).
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterator as Generator
from dataclasses import dataclass, replace

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Dim:
    """One dimension: its size, and the strides of output and input in bytes."""

    size: int
    output_stride: int
    input_stride: int

    @property
    def is_reduced(self) -> bool:
        """The output does not move along it."""
        return self.output_stride == 0


@dataclass(frozen=True)
class Iterator:
    """Dimensions, fastest first, reduced ones before the others."""

    dims: tuple[Dim, ...]

    @staticmethod
    def of_reduction(
        shape: Collection[int],
        strides: Collection[int],
        reduced: Collection[int],
        element_bytes: tuple[int, int],
    ) -> Iterator:
        """Order and merge the dimensions of an input (strides in elements) as `reduce_op` does."""
        dims: list[Dim] = []
        output_stride = element_bytes[1]
        paired = list(zip(shape, strides, strict=True))
        for axis in reversed(range(len(paired))):  # innermost first, as `reorder_dimensions` starts
            size, stride = paired[axis]
            here = 0 if axis in reduced else output_stride
            dims.append(Dim(size, here, stride * element_bytes[0]))
            output_stride *= 1 if axis in reduced else size
        return Iterator(_coalesced(_ordered(dims)))

    @property
    def reduced_dims(self) -> int:
        """How many dimensions are reduced: the first ones."""
        return sum(dim.is_reduced for dim in self.dims)

    @property
    def output_extent(self) -> int:
        """Bytes from the output's first to past its last element along its longest dimension."""
        return max([dim.size * dim.output_stride for dim in self.dims], default=0)

    def indexable_parts(self) -> Generator[Iterator]:
        """Itself, or the halves of halves that 32-bit offsets reach (`with_32bit_indexing`)."""
        if self._fits_32_bits():
            yield self
            return
        extents = [
            max((d.size - 1) * abs(d.output_stride), (d.size - 1) * abs(d.input_stride))
            for d in self.dims
        ]
        longest = max(reversed(range(len(extents))), key=extents.__getitem__)
        size = self.dims[longest].size
        for part in (size // 2, size - size // 2):
            dims = list(self.dims)
            dims[longest] = replace(dims[longest], size=part)
            yield from Iterator(tuple(dims)).indexable_parts()

    def _fits_32_bits(self) -> bool:
        numel = 1
        for dim in self.dims:
            numel *= dim.size
        reach = [
            1 + sum((d.size - 1) * d.output_stride for d in self.dims),
            1 + sum((d.size - 1) * d.input_stride for d in self.dims),
        ]
        return max(numel, *reach) <= _INT32_MAX


def _ordered(dims: list[Dim]) -> list[Dim]:
    """Insertion sort that leaves dimensions which strides do not tell apart where they are."""
    dims = list(dims)
    for i in range(1, len(dims)):
        moving = i
        for other in reversed(range(i)):
            comparison = _compare(dims[other], dims[moving])
            if comparison > 0:
                dims[other], dims[moving] = dims[moving], dims[other]
                moving = other
            elif comparison < 0:
                break
    return dims


def _compare(left: Dim, right: Dim) -> int:
    """`should_swap`: positive where `right` must come first."""
    if left.is_reduced != right.is_reduced:
        return 1 if right.is_reduced else -1
    pairs = (
        (left.output_stride, right.output_stride),
        (left.input_stride, right.input_stride),
    )
    for one, two in pairs:
        if one == 0 or two == 0:
            continue
        if one != two:
            return 1 if one > two else -1
        if left.size > right.size:
            return 1
    return 0


def _coalesced(dims: list[Dim]) -> tuple[Dim, ...]:
    """Neighbours that every operand runs through without a gap become one."""
    merged: list[Dim] = []
    for dim in dims:
        if not merged:
            merged.append(dim)
            continue
        last = merged[-1]
        if last.size == 1:
            merged[-1] = dim
        elif dim.size == 1 or (
            last.size * last.output_stride == dim.output_stride
            and last.size * last.input_stride == dim.input_stride
        ):
            merged[-1] = replace(last, size=last.size * dim.size)
        else:
            merged.append(dim)
    return tuple(merged)
