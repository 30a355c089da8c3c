"""Memory that kernels allocate inside an op and that no output shows."""

from __future__ import annotations

from typing import Any

from torch._ops import OpOverload


def scratch_bytes(func: OpOverload, args: Any, kwargs: Any, result: Any) -> int:
    """Bytes of scratch alive at once inside the op on the simulated device."""
    return 0
