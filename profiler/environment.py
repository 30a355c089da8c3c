"""The environment of a run: everything outside the request that can change its numbers."""

from __future__ import annotations

import os
import platform
from typing import Any

import psutil
import torch

from planner.versions import versions
from profiler.host import cpu_model

# What torch, cuBLAS, OpenMP and glibc read from the environment and that moves memory or time.
_SETTINGS = (
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUBLASLT_WORKSPACE_SIZE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_LAUNCH_BLOCKING",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "LD_PRELOAD",
)
_GLIBC_PREFIXES = ("MALLOC_", "GLIBC_TUNABLES")


def describe(device_kind: str) -> dict[str, Any]:
    """JSON-ready description of this process and its device (`cpu` or `cuda`)."""
    described = {
        "versions": {**versions(), "python": platform.python_version()},
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "host_memory_bytes": psutil.virtual_memory().total,
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "settings": settings(),
        "backends": backends(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    if device_kind == "cuda":
        from profiler import cuda

        described["device"] = cuda.describe()
    else:
        described["device"] = {"kind": "cpu", "name": described["cpu"]}
    return described


def settings() -> dict[str, str]:
    """The environment variables that matter and are set."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name in _SETTINGS or name.startswith(_GLIBC_PREFIXES)
    }


def backends() -> dict[str, Any]:
    """Torch's switches that choose kernels."""
    switches: Any = torch.backends  # its functions have no annotations
    return {
        "mkldnn": switches.mkldnn.is_available() and switches.mkldnn.enabled,
        "mkl": switches.mkl.is_available(),
        "openmp": switches.openmp.is_available(),
        "cpu_capability": switches.cpu.get_cpu_capability(),
        "flash_sdp": switches.cuda.flash_sdp_enabled(),
        "mem_efficient_sdp": switches.cuda.mem_efficient_sdp_enabled(),
        "math_sdp": switches.cuda.math_sdp_enabled(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
