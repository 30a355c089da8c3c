"""One call looked up in the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch._ops import OpOverload

from planner.devices.profile import DeviceProfile
from planner.devices.scratch import (  # noqa: F401  (they fill the table)
    cudnn,
    efficient,
    elsewhere,
    flash,
    indexing,
    matmul,
    norms,
    reductions,
    sorting,
)
from planner.devices.scratch.table import TABLE, Call, entry_of

LIMITATIONS: tuple[str, ...] = (
    "the kernels' temporaries were read in torch's sources, not measured on a GPU",
    "ops without an entry are taken to allocate nothing beside their outputs",
    "on AMD devices kernels' temporaries are not modelled, only BLAS workspaces",
)


def scratch(
    func: OpOverload, args: Any, kwargs: Any, result: Any, device: DeviceProfile
) -> tuple[int, ...]:
    """Bytes of the temporaries that are alive together at the op's inner peak, beyond its outputs.

    Args:
        func: the op.
        args: its arguments; fake and meta tensors do.
        kwargs: its named arguments.
        result: what it returned.
        device: where it runs.

    Raises:
        ValueError: the profile lacks what the op's kernel is configured by.
    """
    found = entry_of(func)
    if found is None or device.compute_capability is None:
        return ()
    sizes = found.sizes(Call.bind(func, args, kwargs, result, device))
    return tuple(size for size in sizes if size > 0)


def known_in_part(names: Iterable[str]) -> list[str]:
    """Those of the ops named whose entry has a limitation, which docs/cuda-scratch.md tells."""
    partial = {
        str(op).removesuffix(".default") for entry in TABLE if entry.limitation for op in entry.ops
    }
    return sorted(partial.intersection(names))


def limitation(func: OpOverload) -> str | None:
    """What is not known of the op's temporaries; none: nothing is."""
    found = entry_of(func)
    return "its kernel's source was not read" if found is None else found.limitation
