"""What every NVIDIA chip of one compute capability has, and kernels are configured by.

Source: CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability". All of
7.0 to 12.1 have 65,536 registers and at least 16 blocks a multiprocessor.
"""

from __future__ import annotations

REGISTERS = 65_536
WARP = 32

_MAX_THREADS = {
    (7, 0): 2048, (7, 5): 1024,
    (8, 0): 2048, (8, 6): 1536, (8, 7): 1536, (8, 9): 1536,
    (9, 0): 2048, (10, 0): 2048, (12, 0): 1536,
}  # fmt: skip

_SHARED_KIB = {
    (7, 0): 96, (7, 5): 64,
    (8, 0): 163, (8, 6): 99, (8, 7): 163, (8, 9): 99,
    (9, 0): 227, (10, 0): 227, (12, 0): 99,
}  # fmt: skip


def max_threads(capability: tuple[int, int]) -> int:
    """Resident threads a multiprocessor."""
    return _MAX_THREADS[_known(capability)]


def shared_memory_bytes(capability: tuple[int, int]) -> int:
    """Shared memory that one block may have, opted in."""
    return _SHARED_KIB[_known(capability)] * 1024


def _known(capability: tuple[int, int]) -> tuple[int, int]:
    """The newest known that is not newer: minor revisions keep these numbers (10.3 those of 10.0,
    12.1 those of 12.0).
    """
    return max((known for known in _MAX_THREADS if known <= capability), default=(7, 0))
