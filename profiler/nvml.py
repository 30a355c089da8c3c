"""What NVIDIA's driver says, without a CUDA context: safe in a process that forks later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pynvml


@dataclass(frozen=True)
class Gpu:
    """One card."""

    index: int
    uuid: str
    name: str
    memory_bytes: int
    compute_capability: str
    driver: str


def gpus() -> list[Gpu]:
    """The cards of this host; none where there is no driver."""
    with _session() as available:
        if not available:
            return []
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        return [_gpu(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]


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
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int, driver: str) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        index=index,
        uuid=_text(pynvml.nvmlDeviceGetUUID(handle)),
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
        compute_capability=f"{major}.{minor}",
        driver=driver,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
