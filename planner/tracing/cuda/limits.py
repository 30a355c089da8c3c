"""What a trace on the simulated CUDA device leaves out, in words for the answer."""

from __future__ import annotations

from collections.abc import Iterable

from planner.devices.scratch import LIMITATIONS as SCRATCH
from planner.devices.scratch import known_in_part

LIMITATIONS = (
    "CUDA's kernels are simulated on a host without one, after the source of torch and not its "
    "binaries.",
    "Attention kernels are chosen as by torch 2.13's CUDA 13 wheels, whose cuDNN is at least "
    "9.15.1; other builds may choose others on Hopper and Blackwell.",
    "What cuDNN's batch normalisation reserves for its backward is taken to be nothing, and "
    "recurrent layers run as ATen's own cells instead of cuDNN's.",
)

_SPARSE = (
    "The workspace that cuSPARSE takes for products with weights stored as csr is not modelled.",
)


def of_trace(names: Iterable[str]) -> list[str]:
    """Limitations of a trace that has ops of these names."""
    names = set(names)
    partial = known_in_part(names)
    sparse = _SPARSE if "headroom.csr_product" in names else ()
    told = f"known in part only (docs/cuda-scratch.md): temporaries of {', '.join(partial)}"
    return [*LIMITATIONS, *SCRATCH, *sparse, *([told] if partial else [])]
