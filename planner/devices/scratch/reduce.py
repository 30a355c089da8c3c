"""`gpu_reduce_kernel`: the staging buffer and the semaphores of a reduction across thread blocks.

Source: aten/src/ATen/native/cuda/Reduce.cuh (`ReduceConfig`, `setReduceConfig`,
`gpu_reduce_kernel`, `AccumulationBuffer`), read in the header that torch 2.13.0 installs. Which
dimension is the fastest is decided before, by TensorIterator: `planner.devices.scratch.iterator`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

from planner.devices.scratch.iterator import Dim, Iterator
from planner.devices.scratch.limits import WARP, max_threads
from planner.devices.scratch.table import ceil_div

_MAX_THREADS = 512  # `mnt_wrapper`; 256 for complex128
_VALUES_PER_THREAD = (16, 256)  # least, most


@dataclass(frozen=True)
class Reduction:
    """Template arguments of one instantiation.

    Attributes:
        argument_bytes: sizeof(arg_t), what threads accumulate in.
        vector: input_vec_size, elements that one load takes.
        accumulates_in_output: partial results of a split reduction can be kept in the output.
    """

    argument_bytes: int
    vector: int = 4
    accumulates_in_output: bool = True


def reduce_sizes(
    shape: Collection[int],
    strides: Collection[int],
    reduced: Collection[int],
    element_bytes: tuple[int, int],
    reduction: Reduction,
    capability: tuple[int, int],
    multiprocessors: int,
) -> tuple[int, ...]:
    """Bytes of the temporaries of one reduction.

    Args:
        shape: of the input.
        strides: of the input, in elements.
        reduced: the dimensions that are summed over.
        element_bytes: of the input and of the output.
        reduction: the kernel.
        capability: of the device.
        multiprocessors: of the device.
    """
    if prod(shape) == 0:
        return ()
    iterator = Iterator.of_reduction(shape, strides, reduced, element_bytes)
    parts = list(iterator.indexable_parts())
    buffer: tuple[int, ...] = ()
    wider = reduction.argument_bytes > element_bytes[1]  # else the output serves as the buffer
    if len(parts) > 1 and not reduction.accumulates_in_output and wider:
        buffer = (max(1, iterator.output_extent // element_bytes[1]) * reduction.argument_bytes,)
    configs = (_Config(part, element_bytes[0], reduction) for part in parts)
    threads = max_threads(capability)
    sizes = [config.sizes(threads, multiprocessors) for config in configs]
    return buffer + max(sizes, key=sum)


def _last_power_of_2(count: int) -> int:
    return 1 << (max(count, 1).bit_length() - 1)


class _Config:
    """`setReduceConfig`, step by step; what splits the input and the output is multiplied up."""

    def __init__(self, iterator: Iterator, element_bytes: int, reduction: Reduction) -> None:
        self._argument_bytes = reduction.argument_bytes
        self._outputs = prod(d.size for d in iterator.dims if not d.is_reduced)
        self._inputs = prod(d.size for d in iterator.dims) // self._outputs
        kept = iterator.reduced_dims
        dims = iterator.dims
        self._on_fastest = kept == len(dims) or dims[0].input_stride < dims[kept].input_stride
        fastest = dims[0 if self._on_fastest else kept].input_stride if dims else element_bytes
        self._output_vector = 1
        width, height = self._outputs, self._inputs
        if self._on_fastest:
            width, height = (height, width) if dims else (1, 1)
        if dims and fastest == element_bytes:
            if self._on_fastest and width >= 128 and kept == 1:
                width //= reduction.vector
            elif not self._on_fastest:
                self._output_vector = _output_vector(dims, kept, element_bytes)
                width //= self._output_vector
        self._set_block(width, height)

    def _set_block(self, width: int, height: int) -> None:
        """`ReduceConfig::set_block_dimension`."""
        most = _MAX_THREADS // self._output_vector
        width = min(_last_power_of_2(width), most)
        height = min(_last_power_of_2(height), most)
        self._width = min(width, WARP)
        self._height = min(height, most // self._width)
        self._width = min(width, most // self._height)

    def sizes(self, resident_threads: int, multiprocessors: int) -> tuple[int, ...]:
        """Staging and semaphores, or nothing where no output is shared by blocks."""
        step_input = self._width if self._on_fastest else 1
        step_output = 1 if self._on_fastest else self._width
        least, most = _VALUES_PER_THREAD
        if ceil_div(self._inputs, step_input) < min(self._height * 16, most):
            return ()  # every warp has an output of its own: never split across blocks
        step_input *= self._height
        values = ceil_div(self._inputs, step_input)
        grid = ceil_div(self._outputs // self._output_vector, step_output)
        threads = self._width * self._height
        target = multiprocessors * (resident_threads // threads)
        if values < most or grid > target:
            return ()
        blocks = max(
            min(ceil_div(target, grid), ceil_div(values, least)),
            ceil_div(values, most),
        )
        if blocks <= 1:
            return ()
        staging = self._argument_bytes * self._outputs * blocks
        if not self._on_fastest:
            staging *= self._width * self._output_vector
        return staging, 4 * grid


def _output_vector(dims: tuple[Dim, ...], kept: int, element_bytes: int) -> int:
    """`get_output_vec_size`; the input's address is taken to be aligned."""
    counts = [dims[kept].size]
    counts += [d.input_stride // element_bytes for i, d in enumerate(dims) if i != kept]
    return next(vector for vector in (4, 2, 1) if all(count % vector == 0 for count in counts))
