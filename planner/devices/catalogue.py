"""The device profiles that Headroom ships with.

`memory_bytes` is `torch.cuda.get_device_properties(...).total_memory`, which is less than what the
card is sold with and less than `nvidia-smi` shows: drivers keep some for themselves and for error
correction. Each is the newest reading that was found published, in whole MiB as torch prints it,
with the torch build that made it; other drivers differ by up to 1.5 %.

`peak_flops` are those of data sheets and architecture whitepapers: dense (NVIDIA's sheets since
Hopper print twice that, "with sparsity"), with tensor cores where the dtype has them, accumulating
in fp32, as cuBLAS does for torch unless told otherwise. A dtype that a device has no units for is
left out. `host_bandwidth_bytes_per_s` is the PCIe link's, each way: a bound, not what copies reach.

Limitation: nothing here was measured by Headroom; `limitations` says so in every answer.
"""

from __future__ import annotations

from planner.devices import acceltran
from planner.devices.contexts import published_context
from planner.devices.profile import DeviceProfile, FlopsKey

_MIB = 2**20

# A kernel of 2.9 us, launched back to back without waiting, took 3.8 us each on a V100 (NVIDIA's
# blog, "Getting Started with CUDA Graphs"). Python and torch's dispatcher cost more than that for
# small ops; a device's runs tell how much (`DeviceProfile.calibration`).
_LAUNCH_S = 3.8e-6

_PCIE_BYTES_PER_S = {3: 16e9, 4: 32e9, 5: 64e9}  # sixteen lanes, each way
_UNPROVEN = "Headroom's own benchmarks have not been run on this device"


def _nvidia(
    name: str,
    *driver_names: str,
    architecture: str,
    memory: tuple[int, str],
    multiprocessors: int,
    l2_mib: int,
    bandwidth: float,
    pcie: int,
    teraflops: dict[FlopsKey, float],
    sheet: str,
) -> DeviceProfile:
    """A profile from a reading `(MiB, torch build)` and the numbers of a data sheet."""
    mib, build = memory
    return DeviceProfile(
        name=name,
        kind="cuda",
        architecture=architecture,
        multiprocessors=multiprocessors,
        l2_cache_bytes=l2_mib * _MIB,
        context_bytes=published_context(architecture),
        memory_bytes=mib * _MIB,
        peak_flops={key: value * 1e12 for key, value in teraflops.items()},
        memory_bandwidth_bytes_per_s=bandwidth * 1e9,
        host_bandwidth_bytes_per_s=_PCIE_BYTES_PER_S[pcie],
        op_overhead_s=_LAUNCH_S,
        driver_names=list(driver_names),
        source=f"memory: {mib} MiB reported to {build}; speeds, caches: {sheet}",
        limitations=[_UNPROVEN],
    )


_V100 = "NVIDIA V100 data sheet (SXM2) and Volta whitepaper"
_A100 = "NVIDIA A100 data sheet and Ampere whitepaper"
_HOPPER = "NVIDIA H100 data sheet and Hopper whitepaper"

_V100_TERAFLOPS: dict[FlopsKey, float] = {"fp64": 7.8, "fp32": 15.7, "fp16": 125}
_A100_TERAFLOPS: dict[FlopsKey, float] = {
    "fp64": 19.5, "fp32": 19.5, "tf32": 156, "bf16": 312, "fp16": 312, "int8": 624,
}  # fmt: skip
_HOPPER_TERAFLOPS: dict[FlopsKey, float] = {
    "fp64": 67, "fp32": 67, "tf32": 494.7, "bf16": 989.4, "fp16": 989.4, "fp8": 1978.9,
    "int8": 1978.9,
}  # fmt: skip

_PROFILES = (
    DeviceProfile(
        name="cpu",
        kind="cpu",
        peak_flops={"fp32": 1e11, "bf16": 1e11, "fp16": 1e11},
        memory_bandwidth_bytes_per_s=2e10,
        op_overhead_s=3e-6,
        source="kernels of PyTorch's CPU build; capacity is the worker's host's; speeds are those "
        "of two server cores, nominal, so that plans do not depend on how busy the host is",
    ),
    _nvidia(
        "t4", "Tesla T4", "NVIDIA T4",
        architecture="sm_75", memory=(14912, "torch 2.2 (newer driver; older: 15102)"),
        multiprocessors=40, l2_mib=4, bandwidth=320, pcie=3,
        teraflops={"fp64": 0.254, "fp32": 8.1, "fp16": 65, "int8": 130},
        sheet="NVIDIA T4 data sheet and Turing whitepaper",
    ),
    _nvidia(
        "v100-16gb", "Tesla V100-SXM2-16GB",
        architecture="sm_70", memory=(16130, "torch 1.x (others: 16160)"),
        multiprocessors=80, l2_mib=6, bandwidth=900, pcie=3, teraflops=_V100_TERAFLOPS, sheet=_V100,
    ),
    _nvidia(
        "v100-32gb", "Tesla V100-SXM2-32GB",
        architecture="sm_70", memory=(32494, "torch 1.12"),
        multiprocessors=80, l2_mib=6, bandwidth=900, pcie=3, teraflops=_V100_TERAFLOPS, sheet=_V100,
    ),
    _nvidia(
        "rtx-3090", "NVIDIA GeForce RTX 3090", "GeForce RTX 3090",
        architecture="sm_86", memory=(24124, "torch 2.13 + CUDA 13.0 (older: 24268)"),
        multiprocessors=82, l2_mib=6, bandwidth=936.2, pcie=4,
        teraflops={"fp64": 0.556, "fp32": 35.6, "tf32": 35.6, "bf16": 71.2, "fp16": 71.2,
                   "int8": 284.7},
        sheet="NVIDIA GA102 whitepaper, appendix A",
    ),
    _nvidia(
        "a10", "NVIDIA A10",
        architecture="sm_86",
        memory=(22589, "an A10G, whose memory nvidia-smi shows as the same 23028 MiB"),
        multiprocessors=72, l2_mib=6, bandwidth=600, pcie=4,
        teraflops={"fp64": 0.976, "fp32": 31.2, "tf32": 62.5, "bf16": 125, "fp16": 125,
                   "int8": 250},
        sheet="NVIDIA A10 data sheet",
    ),
    _nvidia(
        "a100-40gb", "NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB",
        architecture="sm_80", memory=(40441, "torch 2.11 + CUDA 13.0 (older: 40514)"),
        multiprocessors=108, l2_mib=40, bandwidth=1555, pcie=4,
        teraflops=_A100_TERAFLOPS, sheet=_A100,
    ),
    _nvidia(
        "a100-80gb", "NVIDIA A100-SXM4-80GB",
        architecture="sm_80", memory=(81153, "torch 2.7 + CUDA 12.6"),
        multiprocessors=108, l2_mib=40, bandwidth=2039, pcie=4,
        teraflops=_A100_TERAFLOPS, sheet=_A100,
    ),
    _nvidia(
        "rtx-4090", "NVIDIA GeForce RTX 4090",
        architecture="sm_89", memory=(24081, "torch 2.5 (others: 24177 to 24217)"),
        multiprocessors=128, l2_mib=72, bandwidth=1008, pcie=4,
        teraflops={"fp64": 1.29, "fp32": 82.6, "tf32": 82.6, "bf16": 165.2, "fp16": 165.2,
                   "fp8": 330.3, "int8": 660.6},
        sheet="NVIDIA Ada whitepaper, appendix A",
    ),
    _nvidia(
        "l4", "NVIDIA L4",
        architecture="sm_89", memory=(22563, "torch 2.11 + CUDA 12.8"),
        multiprocessors=58, l2_mib=48, bandwidth=300, pcie=4,
        teraflops={"fp64": 0.49, "fp32": 30.3, "tf32": 60, "bf16": 121, "fp16": 121, "fp8": 242.5,
                   "int8": 242.5},
        sheet="NVIDIA L4 data sheet, halved where it is with sparsity",
    ),
    _nvidia(
        "l40s", "NVIDIA L40S",
        architecture="sm_89", memory=(45495, "torch 2.2 + CUDA 12.1"),
        multiprocessors=142, l2_mib=96, bandwidth=864, pcie=4,
        teraflops={"fp64": 1.43, "fp32": 91.6, "tf32": 183, "bf16": 362, "fp16": 362, "fp8": 733,
                   "int8": 733},
        sheet="NVIDIA L40S data sheet",
    ),
    _nvidia(
        "h100-80gb", "NVIDIA H100 80GB HBM3",
        architecture="sm_90", memory=(81089, "torch 2.7 + CUDA 12.8"),
        multiprocessors=132, l2_mib=50, bandwidth=3350, pcie=5,
        teraflops=_HOPPER_TERAFLOPS, sheet=f"{_HOPPER} (SXM5)",
    ),
    _nvidia(
        "h100-80gb-pcie", "NVIDIA H100 PCIe",
        architecture="sm_90", memory=(81008, "torch 2.0 + CUDA 11.8"),
        multiprocessors=114, l2_mib=50, bandwidth=2000, pcie=5,
        teraflops={"fp64": 51, "fp32": 51, "tf32": 378, "bf16": 756, "fp16": 756, "fp8": 1513,
                   "int8": 1513},
        sheet=f"{_HOPPER} (PCIe)",
    ),
    _nvidia(
        "h200", "NVIDIA H200",
        architecture="sm_90", memory=(143156, "torch 2.7"),
        multiprocessors=132, l2_mib=60, bandwidth=4800, pcie=5,
        teraflops=_HOPPER_TERAFLOPS, sheet="NVIDIA H200 data sheet (SXM); L2 as reported to torch",
    ),
    _nvidia(
        "b200", "NVIDIA B200",
        architecture="sm_100", memory=(182631, "torch 2.8 + CUDA 12.8"),
        multiprocessors=148, l2_mib=126, bandwidth=8000, pcie=5,
        teraflops={"fp64": 40, "fp32": 80, "tf32": 1100, "bf16": 2250, "fp16": 2250, "fp8": 4500,
                   "int8": 4500},
        sheet="NVIDIA Blackwell architecture brief (HGX B200, 1000 W); L2 as reported to torch",
    ),
    _nvidia(
        "rtx-5090", "NVIDIA GeForce RTX 5090",
        architecture="sm_120", memory=(32102, "torch 2.12 + CUDA 13.0"),
        multiprocessors=170, l2_mib=96, bandwidth=1792, pcie=5,
        teraflops={"fp64": 1.64, "fp32": 104.8, "tf32": 104.8, "bf16": 209.5, "fp16": 209.5,
                   "fp8": 419, "int8": 838},
        sheet="NVIDIA RTX Blackwell whitepaper, appendix A",
    ),
    DeviceProfile(
        name="mi300x",
        kind="cuda",
        architecture="gfx942",
        multiprocessors=304,
        l2_cache_bytes=8 * 4 * _MIB,
        memory_bytes=196_592 * _MIB,
        peak_flops={
            "fp64": 163.4e12, "fp32": 163.4e12, "tf32": 653.7e12, "bf16": 1307.4e12,
            "fp16": 1307.4e12, "fp8": 2614.9e12, "int8": 2614.9e12,
        },
        memory_bandwidth_bytes_per_s=5300e9,
        host_bandwidth_bytes_per_s=_PCIE_BYTES_PER_S[5],
        op_overhead_s=_LAUNCH_S,
        driver_names=["AMD Instinct MI300X"],
        source="memory: 196592 MiB reported to torch 2.6 + ROCm; speeds: AMD Instinct MI300X data "
        "sheet, matrix cores; L2: 4 MiB for each of 8 dies (torch reports one die's)",
        limitations=[
            _UNPROVEN,
            "kernels, their scratch and the allocator are modelled on NVIDIA's build of PyTorch; "
            "ROCm's choices of kernels differ",
            "no published reading of a context's size was found for it",
        ],
    ),
)  # fmt: skip

BUILTIN: dict[str, DeviceProfile] = {
    profile.name: profile for profile in (*_PROFILES, *acceltran.PROFILES)
}


def profile_of_driver(device_name: str) -> str | None:
    """The built-in profile of a card by the name that its driver gives it, if there is one.

    Only exact names count: a partition of a card (MIG) or its smaller sister is another device.
    """
    for profile in _PROFILES:
        if device_name in profile.driver_names:
            return profile.name
    return None
