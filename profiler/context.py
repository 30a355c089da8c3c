"""What a CUDA context takes of a device: measured in a child, once a worker starts.

The driver is asked before anything touches CUDA, after the context is made, and after the first
matrix products, which load cuBLAS and its kernels. What the caching allocator holds by then (its
segments, cuBLAS's workspaces among them) is taken off: predictions count that by themselves.

Limitation: kernels are loaded when first used, so a workload's own ones come on top. Never run on a
device where this was written: the tests stand in for the driver and for torch.
"""

from __future__ import annotations

from typing import Any

import torch

from profiler.measure_cuda import DriverBytes

_SIZE = 256  # of the square matrices: enough for a tensor-core kernel to be chosen


def measure_context() -> dict[str, Any]:
    """`bare_bytes` of the context alone, `context_bytes` with cuBLAS loaded, both as the driver
    shows them; null where the driver does not answer. The process must not have touched CUDA.
    """
    driver = DriverBytes()
    torch.cuda.init()  # type: ignore[no-untyped-call]
    driver.attach()
    torch.cuda.synchronize()
    bare = driver.now()
    for dtype in (torch.float32, torch.float16):
        matrix = torch.ones(_SIZE, _SIZE, dtype=dtype, device="cuda")
        torch.addmm(matrix[0], matrix, matrix)  # with a bias: cuBLASLt, as linear layers take it
        torch.mm(matrix, matrix)
    torch.cuda.synchronize()
    shown = driver.now()
    return {
        "bare_bytes": bare,
        "context_bytes": None if shown is None else shown - torch.cuda.memory_reserved(),
        "cuda": torch.version.cuda,
        "notes": list(driver.notes),
    }
