"""Temporary storage of CUB's device-wide algorithms (github.com/NVIDIA/cccl).

ATen asks CUB for the size and takes it from the caching allocator (`CUB_WRAPPER` in
ATen/cuda/cub.cuh). Read, in copies of CCCL 2 and 3 that agree, under cub/:
device/dispatch/dispatch_radix_sort.cuh (`InvokeOnesweep`, `InvokePasses`),
device/dispatch/tuning/tuning_radix_sort.cuh (`Policy800`, `Policy900`), util_arch.cuh,
util_temporary_storage.cuh and agent/single_pass_scan_operators.cuh. The CCCL of a torch build is
its CUDA toolkit's.

Not verified: the tuning for capability 10 and newer (taken to be that of 9.0) and below 8.0 (taken
to be that of 8.0). They shift the look-back array only, 1 KiB a tile of some thousand elements.
"""

from __future__ import annotations

from planner.devices.scratch.limits import WARP, max_threads
from planner.devices.scratch.table import ceil_div, round_up

_ALIGNMENT = 256  # cub/util_temporary_storage.cuh: `alias_temporaries`
_SHARED_BYTES = 48 * 1024  # cub/util_arch.cuh: `RegBoundScaling`
_ONESWEEP_BITS = 8
_OFFSET_BYTES = 8  # ATen passes int64 counts: `choose_offset_t` makes them uint64
_SUBSCRIPTION = 5  # cub/util_arch.cuh: `subscription_factor`


def aliased_bytes(*sizes: int) -> int:
    """Several arrays in one allocation (`alias_temporaries`)."""
    return sum(round_up(size, _ALIGNMENT) for size in sizes) + _ALIGNMENT - 1


def radix_sort_bytes(
    count: int,
    key_bytes: int,
    value_bytes: int,
    capability: tuple[int, int],
    multiprocessors: int,
    bits: int | None = None,
    floating: bool = False,
) -> int:
    """`DeviceRadixSort::SortPairs`, or `SortKeys` where `value_bytes` is 0; input kept.

    Args:
        count: elements.
        key_bytes: of one key.
        value_bytes: of one value, 0 without values.
        capability: of the device.
        multiprocessors: of the device.
        bits: of the keys that are sorted on; none: all.
        floating: keys are fp32.
    """
    dominant = max(key_bytes, value_bytes)
    if count <= _tile(256, 19, dominant):  # `SingleTilePolicy`
        return 1
    copies = (count * key_bytes, count * value_bytes)
    if key_bytes < 4 and capability < (9, 0):
        # `InvokePasses`: its spine has a histogram for each block of the largest grid. How many
        # blocks a multiprocessor takes is the compiler's doing: this is the bound by threads.
        grid = max_threads(capability) // 256 * multiprocessors * _SUBSCRIPTION
        spine = (grid << (7 if key_bytes > 1 else 5)) + _tile(512, 23, _OFFSET_BYTES)
        return aliased_bytes(spine * _OFFSET_BYTES, *copies)
    tile = _onesweep_tile(key_bytes, value_bytes, capability, floating)
    passes = ceil_div(bits or 8 * key_bytes, _ONESWEEP_BITS)
    portion = (2**28 - 1) // tile * tile
    portions = ceil_div(count, portion)
    digits = 1 << _ONESWEEP_BITS
    return aliased_bytes(
        portions * passes * digits * _OFFSET_BYTES,
        ceil_div(min(count, portion), tile) * digits * 4,
        *(copies if passes > 1 else (0, 0)),
        portions * passes * 4,
    )


def _onesweep_tile(
    key_bytes: int, value_bytes: int, capability: tuple[int, int], floating: bool
) -> int:
    """Elements a block sorts (`OnesweepPolicy`), offsets of 64 bits."""
    if capability < (9, 0):
        nominal = 17 if key_bytes == 4 and value_bytes else 21
    elif key_bytes == 8:
        nominal = 30 if value_bytes < 8 else 24
    elif value_bytes:
        nominal = 17 if value_bytes < 8 else 29
    else:
        nominal = 19 - floating
    return _tile(384, nominal, max(key_bytes, value_bytes))


def _tile(threads: int, nominal: int, element_bytes: int) -> int:
    """`RegBoundScaling`: a policy for elements of 4 bytes, scaled to others."""
    items = max(1, nominal * 4 // max(4, element_bytes))
    fitting = round_up(_SHARED_BYTES // (element_bytes * items), 32)
    return min(threads, fitting) * items


def scan_bytes(count: int, element_bytes: int) -> int:
    """`DeviceScan`: a status word a tile (cub/agent/single_pass_scan_operators.cuh:
    `ScanTileState::AllocationSize`).

    An upper bound: tiles are those of the untuned policy (128 threads of 15 elements of 4 bytes),
    the tuned ones of capability 8.0 and newer are larger.
    """
    tile = 128 * max(1, min(15, 15 * 4 // element_bytes))
    return aliased_bytes((ceil_div(count, tile) + WARP) * 2 * element_bytes)
