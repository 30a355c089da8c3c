"""A stand-in for the module `pynvml`: a driver of made-up cards. No test sees a real one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

MIB = 2**20


class NVMLError(Exception):
    """As the driver's library raises it."""


@dataclass
class Card:
    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    capability: tuple[int, int] = (9, 0)
    total: int = 81_559 * MIB
    used: int = 4 * MIB
    mig: int | None = 0
    """1: divided; None: a card that cannot be."""
    processes: dict[int, int | None] = field(default_factory=dict)


class FakeNvml:
    """Install it as `nvml.pynvml`."""

    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *cards: Card, driver: str = "580.105.08"):
        self.cards = cards
        self.driver = driver
        self.sessions = 0

    def nvmlInit(self):
        if not self.cards:
            raise NVMLError("Driver Not Loaded")
        self.sessions += 1

    def nvmlShutdown(self):
        self.sessions -= 1

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlDeviceGetCount(self):
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        for card in self.cards:
            if card.uuid == uuid:
                return card
        raise NVMLError("Not Found")

    def nvmlDeviceGetMigMode(self, card):
        if card.mig is None:
            raise NVMLError("Not Supported")
        return card.mig, card.mig

    def nvmlDeviceGetCudaComputeCapability(self, card):
        return card.capability

    def nvmlDeviceGetUUID(self, card):
        return card.uuid

    def nvmlDeviceGetName(self, card):
        return card.name.encode()  # older releases of the package answer bytes

    def nvmlDeviceGetMemoryInfo(self, card):
        return SimpleNamespace(total=card.total, used=card.used, free=card.total - card.used)

    def nvmlDeviceGetComputeRunningProcesses(self, card):
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in card.processes.items()
        ]
