"""Workspaces of cuBLAS and cuBLASLt: taken from the caching allocator at first use, kept for good.

Source: aten/src/ATen/cuda/CublasHandlePool.cpp (`parseChosenWorkspaceSize`,
`parseCUDABlasLtWorkspaceSize`, `setWorkspaceForHandle`, `getCUDABlasLtWorkspace`), read in an
annotated copy whose interface is that of 2.13.0's ATen/cuda/CUDAContextLight.h.

torch keys a workspace by (handle, stream). Handles belong to threads
(ATen/cuda/detail/DeviceThreadHandles.h: `PoolWindow`), and autograd runs the backward of a CUDA
device in a thread of its own (torch/csrc/autograd/engine.cpp: `Engine::thread_main`), so backward
has a second workspace beside forward's. A recomputation by checkpointing runs in that thread too.
Everything is taken to run on one stream. With `torch.autograd.set_multithreading_enabled(False)`
backward uses the caller's handle.

Earlier versions of the file gave Blackwell the smaller workspace, and cuBLASLt one of its own of
1 MiB; in this one cuBLAS and cuBLASLt share theirs unless `TORCH_CUBLASLT_UNIFIED_WORKSPACE=0`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

from planner.devices.profile import DeviceProfile
from planner.devices.scratch.table import Call

aten = torch.ops.aten

KIB = 1024
_HOPPER_BYTES = 4096 * 8 * KIB  # compute capability 9.x, 10.x and 12.x
_DEFAULT_BYTES = 4096 * KIB * 2 + 16 * KIB * 8  # ":4096:2:16:8", cuBLAS's own default
_AMD_BYTES = 32 * KIB * KIB
_AMD_MATRIX_BYTES = 128 * KIB * KIB  # gfx94x, gfx95x
_LT_KIB = 1024
_AMD_LT_KIB = 76 * KIB


class Workspace(NamedTuple):
    """One persistent allocation: made at the first op with this key, never freed."""

    key: str
    size_bytes: int


@dataclass(frozen=True)
class BlasSettings:
    """The environment variables that decide; none: not set.

    Attributes:
        cublas_workspace_config: `CUBLAS_WORKSPACE_CONFIG`, ":KiB:count" once or more.
        cublaslt_workspace_size: `CUBLASLT_WORKSPACE_SIZE`, KiB.
        unified: `TORCH_CUBLASLT_UNIFIED_WORKSPACE`, on by default.
        addmm_lt: unless `DISABLE_ADDMM_CUDA_LT=1`.
    """

    cublas_workspace_config: str | None = None
    cublaslt_workspace_size: str | None = None
    unified: bool = True
    addmm_lt: bool = True

    @staticmethod
    def of_environment(environment: Mapping[str, str] = os.environ) -> BlasSettings:
        """As torch reads them; of the flags it knows 0 and 1 (c10/util/env.h: `check_env`)."""
        return BlasSettings(
            environment.get("CUBLAS_WORKSPACE_CONFIG"),
            environment.get("CUBLASLT_WORKSPACE_SIZE"),
            environment.get("TORCH_CUBLASLT_UNIFIED_WORKSPACE") != "0",
            environment.get("DISABLE_ADDMM_CUDA_LT") != "1",
        )


DEFAULTS = BlasSettings()


def workspace(
    func: OpOverload,
    args: Any,
    device: DeviceProfile,
    in_backward: bool,
    settings: BlasSettings = DEFAULTS,
) -> Workspace | None:
    """The persistent workspace that the op needs; none for ops without one.

    Args:
        func: the op.
        args: its positional arguments.
        device: where it runs.
        in_backward: it runs in autograd's thread of the device.
        settings: the environment of the step.
    """
    lt = _uses_lt(func, args, settings)
    if lt is None:
        return None
    thread = "backward" if in_backward else "forward"
    shared = settings.unified and device.compute_capability is not None
    if lt and not shared:
        return Workspace(f"cublaslt.{thread}", cublaslt_bytes(device, settings))
    return Workspace(f"cublas.{thread}", cublas_bytes(device, settings))


def cublas_bytes(device: DeviceProfile, settings: BlasSettings = DEFAULTS) -> int:
    """`parseChosenWorkspaceSize`."""
    config = settings.cublas_workspace_config
    pairs = re.findall(r":([0-9]+):([0-9]+)", config or "")
    if pairs:
        return sum(int(size) * int(count) for size, count in pairs) * KIB
    capability = device.compute_capability
    if capability is None:
        architecture = device.architecture or ""
        return _AMD_MATRIX_BYTES if architecture.startswith(("gfx94", "gfx95")) else _AMD_BYTES
    return _HOPPER_BYTES if capability[0] in (9, 10, 12) else _DEFAULT_BYTES


def cublaslt_bytes(device: DeviceProfile, settings: BlasSettings = DEFAULTS) -> int:
    """`parseCUDABlasLtWorkspaceSize`, where the workspace is not cuBLAS's."""
    given = re.match(r"\s*([+-]?\d+)", settings.cublaslt_workspace_size or "")  # std::stoi
    if given:
        return int(given[1]) * KIB
    return (_LT_KIB if device.compute_capability else _AMD_LT_KIB) * KIB


def _uses_lt(func: OpOverload, args: Any, settings: BlasSettings) -> bool | None:
    """Whether the op goes to cuBLASLt (true), to cuBLAS (false) or to neither (none)."""
    if func in _ADDMM:
        return settings.addmm_lt and _lt_takes_addmm(func, args)
    if func in _CUBLAS:
        return False
    return True if func in _CUBLASLT else None


def _lt_takes_addmm(func: OpOverload, args: Any) -> bool:
    """aten/src/ATen/native/cuda/Blas.cpp: `isInputCompliesAddmmCudaLt`."""
    call = Call.bind(func, args, {}, None, _NO_DEVICE)
    bias, left, right = call["self"], call["mat1"], call["mat2"]
    if func in (aten.addmm_.default,) or call["beta"] != 1:
        return False
    fused = func is aten._addmm_activation.default
    shape = (left.shape[0], right.shape[1])
    is_row = bias.dim() > 0 and bias.is_contiguous() and bias.shape[-1] == bias.numel() == shape[1]
    spreads = fused and bias.dim() == 2 and _expands(bias, shape)
    sizes_fit = min(*left.shape, *right.shape) > 1
    return (is_row or spreads) and left.dtype in _LT_DTYPES and sizes_fit


def _expands(tensor: Tensor, shape: tuple[int, int]) -> bool:
    return all(have in (1, want) for have, want in zip(tensor.shape, shape, strict=True))


_LT_DTYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
_NO_DEVICE = DeviceProfile(name="any")
_ADDMM = frozenset(
    {aten.addmm.default, aten.addmm_.default, aten._addmm_activation.default}
)  # fmt: skip
_CUBLAS = frozenset(
    {
        aten.mm.default, aten.bmm.default, aten.baddbmm.default, aten.baddbmm_.default,
        aten.mv.default, aten.addmv.default, aten.addmv_.default, aten.dot.default,
        aten.vdot.default, aten.addbmm.default, aten.addbmm_.default,
    }
)  # fmt: skip
# aten/src/ATen/native/cuda/{Blas,ScaledBlas}.cpp: `_int_mm_out_cuda`, `_scaled_gemm`.
_CUBLASLT = frozenset({aten._int_mm.default, aten._scaled_mm.default})
