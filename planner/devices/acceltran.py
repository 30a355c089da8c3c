"""Designs of AccelTran, the sparsity-aware accelerator that TransCODE searches designs of.

AccelTran: Tuli and Jha 2023, arXiv 2302.14705; TransCODE: arXiv 2303.14882. Numbers are those of
the repository jha-lab/acceltran: `simulator/config/config_tiny_lp.yaml` and `config_base.yaml` (64
and 512 PEs, lanes, multipliers, buffers in MiB, kind of main memory), `simulator/constants/
constants.yaml` (700 MHz; 370 GB/s of a buffer; 25.6 GB/s of LP-DDR3, 256 GB/s of RRAM; fixed point
of 4 + 16 bits; sparsity 0.5 of weights and activations; nJ an access of 64 bytes).

The latency that follows is an estimate: the roofline of PEs x lanes x multipliers at 700 MHz and
the bandwidth of a buffer, op by op as PyTorch runs them. No tiling, no schedule, no stalls, no
multiplication saved by sparsity, and traffic counted in PyTorch's dtypes.
"""

from __future__ import annotations

import math

from pydantic import Field

from planner.data import Data
from planner.devices.profile import DeviceProfile
from planner.devices.tiers import MemoryTier, Placement

CLOCK_HZ = 700e6
ELEMENT_BITS = 4 + 16
SPARSITY = 0.5
_BUFFER_BYTES_PER_S = 370e9
_ACCESS_BYTES = 64
_MIB = 2**20

# nJ an access of a buffer of 1 MiB; a larger one takes sqrt(MiB) times that (`buffer.py`).
_ACCESS_NANOJOULES = {"activation": 0.079275099, "weight": 0.0856588, "mask": 0.08200675}
_SOURCE = "jha-lab/acceltran, simulator/config/{config} and simulator/constants/constants.yaml"
_LIMITATIONS = [
    "tensors and their lifetimes are those of PyTorch's CPU kernels: the accelerator's tiles, "
    "fused operators and evictions are not modelled",
    "step_seconds is an estimate: a roofline of the multipliers and of a buffer's bandwidth, "
    "without schedule, stalls or multiplications saved by sparsity; loads from main memory are "
    "bounded in `tiers` only",
    "sparsity of 0.5 is what AccelTran's constants assume, not what the model has",
]


class MainMemory(Data):
    """What lies outside the buffers."""

    name: str
    bandwidth_bytes_per_s: float = Field(gt=0)
    access_nanojoules: float = Field(gt=0, description="of 64 bytes")


class AccelTran(Data):
    """One design: processing elements, and buffers in MiB."""

    processing_elements: int = Field(ge=1)
    lanes: int = Field(ge=1, description="MAC lanes of a processing element")
    multipliers: int = Field(16, ge=1, description="of a lane")
    activation_mib: int = Field(ge=1)
    weight_mib: int = Field(ge=1)
    mask_mib: int = Field(ge=1)
    main_memory: MainMemory

    @property
    def peak_flops(self) -> float:
        """FLOP/s, two a multiply-accumulate, with every multiplier busy."""
        return 2 * self.processing_elements * self.lanes * self.multipliers * CLOCK_HZ

    def profile(self, name: str, config: str) -> DeviceProfile:
        """The design as a device: weights, activations and masks have a buffer each."""
        main = self.main_memory
        main_joules = main.access_nanojoules * 1e-9 / _ACCESS_BYTES
        return DeviceProfile(
            name=name,
            kind="cpu",
            peak_flops={"fp32": self.peak_flops},
            memory_bandwidth_bytes_per_s=_BUFFER_BYTES_PER_S,
            tiers=[
                self._buffer("activation", self.activation_mib),
                self._buffer("weight", self.weight_mib),
                self._buffer("mask", self.mask_mib),
                MemoryTier(
                    name=main.name,
                    read_bandwidth_bytes_per_s=main.bandwidth_bytes_per_s,
                    write_bandwidth_bytes_per_s=main.bandwidth_bytes_per_s,
                    read_joules_per_byte=main_joules,
                    write_joules_per_byte=main_joules,
                ),
            ],
            placement=[
                _sparse("weight-buffer", "parameters", "buffers"),
                _sparse("activation-buffer", "activations", "temporaries", "inputs", "workspace"),
                Placement(tier=main.name, bits=ELEMENT_BITS),
            ],
            source=_SOURCE.format(config=config),
            limitations=_LIMITATIONS,
        )

    @staticmethod
    def _buffer(kind: str, mib: int) -> MemoryTier:
        joules = _ACCESS_NANOJOULES[kind] * math.sqrt(mib) * 1e-9 / _ACCESS_BYTES
        return MemoryTier(
            name=f"{kind}-buffer",
            capacity_bytes=mib * _MIB,
            read_bandwidth_bytes_per_s=_BUFFER_BYTES_PER_S,
            write_bandwidth_bytes_per_s=_BUFFER_BYTES_PER_S,
            read_joules_per_byte=joules,
            write_joules_per_byte=joules,
        )


def _sparse(tier: str, *categories: str) -> Placement:
    return Placement.model_validate(
        {
            "categories": categories,
            "tier": tier,
            "encoding": "bitmask",
            "sparsity": SPARSITY,
            "bits": ELEMENT_BITS,
            "mask_tier": "mask-buffer",
        }
    )


EDGE = AccelTran(
    processing_elements=64,
    lanes=16,
    activation_mib=4,
    weight_mib=8,
    mask_mib=1,
    main_memory=MainMemory(
        name="LP-DDR3", bandwidth_bytes_per_s=25.6e9, access_nanojoules=13.43777522
    ),
)
SERVER = AccelTran(
    processing_elements=512,
    lanes=32,
    activation_mib=32,
    weight_mib=64,
    mask_mib=8,
    main_memory=MainMemory(name="RRAM", bandwidth_bytes_per_s=256e9, access_nanojoules=8.63281599),
)
PROFILES = (
    EDGE.profile("acceltran-edge", "config_tiny_lp.yaml"),
    SERVER.profile("acceltran-server", "config_base.yaml"),
)
