"""The CUDA device of this process, as part of a run's environment."""

from __future__ import annotations

from typing import Any

import torch

from profiler import nvml


def describe() -> dict[str, Any]:
    """Name, memory, driver and library versions, and the switches that choose kernels."""
    properties = torch.cuda.get_device_properties()
    uuid = f"GPU-{properties.uuid}"
    card = next((gpu for gpu in nvml.gpus() if gpu.uuid == uuid), None)
    return {
        "kind": "cuda",
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "driver": card.driver if card is not None else None,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_allow_tf32": torch.backends.cuda.matmul.allow_tf32,
        "allocator_backend": torch.cuda.get_allocator_backend(),
    }
