"""What NVIDIA's driver says, without a CUDA context: safe in a process that forks later.

Without the driver, or without the package `nvidia-ml-py`, there are no cards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

try:
    import pynvml
except ImportError:
    pynvml = None


@dataclass(frozen=True)
class Gpu:
    """One card."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    compute_capability: str
    driver: str

    @property
    def architecture(self) -> str:
        """As device profiles name it: `sm_90` for compute capability 9.0."""
        return "sm_" + self.compute_capability.replace(".", "")


def gpus() -> list[Gpu]:
    """The cards of this host; none where there is no driver.

    Those divided by MIG are left out: CUDA sees only their parts, which no profile describes.
    """
    with _session() as available:
        if not available:
            return []
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        cards = [_gpu(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
        return [card for card in cards if card is not None]


def visible(cards: Sequence[Gpu], setting: str | None) -> list[Gpu]:
    """Those cards that `CUDA_VISIBLE_DEVICES` leaves, in its order; all where it is not set.

    As CUDA reads it: indices or beginnings of UUIDs, and nothing after the first that names no
    card. Indices are the driver's (by PCI bus), as under `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    """
    if setting is None:
        return list(cards)
    found: list[Gpu] = []
    for part in filter(None, (part.strip() for part in setting.split(","))):
        named = [
            card
            for card in cards
            if part == str(card.index) or (part.startswith("GPU-") and card.uuid.startswith(part))
        ]
        if len(named) != 1 or named[0] in found:
            break
        found += named
    return found


def process_bytes(uuid: str, pid: int) -> int | None:
    """Device memory that the driver charges to a process; None where it does not tell.

    In a container the driver knows the process by its id on the host, and this finds nothing.
    """
    with _session() as available:
        if not available:
            return None
        try:
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.pid == pid and process.usedGpuMemory is not None:
                    return int(process.usedGpuMemory)
        except pynvml.NVMLError:
            pass
        return None


def used_bytes() -> dict[str, int]:
    """Memory in use on each card, by its UUID, whoever uses it; empty where there is no driver."""
    with _session() as available:
        if not available:
            return {}
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return {
            _text(pynvml.nvmlDeviceGetUUID(handle)): int(
                pynvml.nvmlDeviceGetMemoryInfo(handle).used
            )
            for handle in handles
        }


@contextmanager
def _session() -> Iterator[bool]:
    if pynvml is None:
        yield False
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int, driver: str) -> Gpu | None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    if _is_divided(handle):
        return None
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        index=index,
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=f"{major}.{minor}",
        driver=driver,
    )


def _is_divided(handle: Any) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError:  # a card that cannot be divided does not know the question
        return False
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
