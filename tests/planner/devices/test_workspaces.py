"""Workspaces of cuBLAS and cuBLASLt."""

from __future__ import annotations

import pytest
import torch

from planner.devices.profile import DeviceProfile
from planner.devices.scratch import BlasSettings, Workspace, workspace
from planner.devices.scratch.blas import cublas_bytes, cublaslt_bytes

aten = torch.ops.aten
MIB = 1 << 20


def device(architecture: str) -> DeviceProfile:
    return DeviceProfile(name="gpu", kind="cuda", architecture=architecture)


def meta(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


MM = (aten.mm.default, (meta(8, 64), meta(64, 16)))
PARTED = BlasSettings(unified=False)


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("sm_75", 8_519_680),
        ("sm_80", 8_519_680),
        ("sm_89", 8_519_680),
        ("sm_90", 32 * MIB),
        ("sm_100", 32 * MIB),
        ("sm_120", 32 * MIB),
        ("gfx942", 128 * MIB),
        ("gfx90a", 32 * MIB),
    ],
)
def test_default_follows_the_architecture(architecture, expected):
    assert cublas_bytes(device(architecture)) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (":4096:8", 32 * MIB),
        (":4096:2:16:8", 8_519_680),
        (":16:8", 128 * 1024),
        ("nonsense", 8_519_680),
        ("", 8_519_680),
    ],
)
def test_configured_size_is_the_sum_of_its_parts(config, expected):
    assert cublas_bytes(device("sm_80"), BlasSettings(cublas_workspace_config=config)) == expected


@pytest.mark.parametrize(("given", "kib"), [(None, 1024), ("2048", 2048), ("none", 1024)])
def test_parted_cublaslt_size_is_in_kib(given, kib):
    settings = BlasSettings(cublaslt_workspace_size=given, unified=False)
    assert cublaslt_bytes(device("sm_90"), settings) == kib * 1024


def test_environment_is_read_as_torch_does():
    environment = {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "TORCH_CUBLASLT_UNIFIED_WORKSPACE": "0",
        "DISABLE_ADDMM_CUDA_LT": "1",
    }
    assert BlasSettings.of_environment(environment) == BlasSettings(
        ":4096:8", unified=False, addmm_lt=False
    )
    assert BlasSettings.of_environment({}) == BlasSettings()


def test_backward_runs_in_a_thread_with_a_handle_of_its_own():
    forward = workspace(*MM, device("sm_80"), in_backward=False)
    backward = workspace(*MM, device("sm_80"), in_backward=True)
    assert forward == Workspace("cublas.forward", 8_519_680)
    assert backward == Workspace("cublas.backward", 8_519_680)


def test_ops_without_blas_have_none():
    assert workspace(aten.add.Tensor, (meta(8), meta(8)), device("sm_90"), False) is None


def test_both_libraries_share_one_by_default():
    linear = (meta(16), meta(8, 64), meta(64, 16))
    shared = workspace(aten.addmm.default, linear, device("sm_90"), False)
    assert shared == Workspace("cublas.forward", 32 * MIB)


class TestWhichLibrary:
    """isInputCompliesAddmmCudaLt, told apart by the workspace where they are parted."""

    def library(self, func, *args, settings=PARTED, architecture="sm_90"):
        found = workspace(func, args, device(architecture), False, settings)
        return found.key.split(".")[0]

    def test_bias_row_is_an_epilogue_of_cublaslt(self):
        assert self.library(aten.addmm.default, meta(16), meta(8, 64), meta(64, 16)) == "cublaslt"
        row = meta(1, 16)
        assert self.library(aten.addmm.default, row, meta(8, 64), meta(64, 16)) == "cublaslt"

    def test_matrix_or_scaled_bias_goes_to_cublas(self):
        operands = (meta(8, 64), meta(64, 16))
        assert self.library(aten.addmm.default, meta(8, 16), *operands) == "cublas"
        strided = meta(32)[::2]
        assert self.library(aten.addmm.default, strided, *operands) == "cublas"

    def test_dimension_of_one_goes_to_cublas(self):
        assert self.library(aten.addmm.default, meta(16), meta(1, 64), meta(64, 16)) == "cublas"

    def test_matrix_with_activation_goes_to_cublaslt(self):
        fused = aten._addmm_activation.default
        assert self.library(fused, meta(8, 16), meta(8, 64), meta(64, 16)) == "cublaslt"

    def test_switched_off(self):
        off = BlasSettings(unified=False, addmm_lt=False)
        operands = (meta(16), meta(8, 64), meta(64, 16))
        assert self.library(aten.addmm.default, *operands, settings=off) == "cublas"

    def test_amd_never_shares(self):
        operands = (meta(16), meta(8, 64), meta(64, 16))
        unified = BlasSettings()
        found = self.library(aten.addmm.default, *operands, settings=unified, architecture="gfx942")
        assert found == "cublaslt"
