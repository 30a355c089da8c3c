"""A CUDA device as the allocator sees it: so much memory, and addresses that never run out."""

from __future__ import annotations

from typing import TypedDict

FIRST_ADDRESS = 0x7F00_0000_0000
ENDLESS_BYTES = 1 << 46  # where no capacity is given: more than any device has


class TraceEntry(TypedDict, total=False):
    """One action of the allocator, as `torch.cuda.memory._snapshot()` shows it."""

    action: str
    addr: int
    size: int
    stream: int
    device_free: int
    time_us: int
    frames: list[dict[str, object]]


class DeviceMemory:
    """Stands for cudaMalloc, cudaFree and the cuMem calls behind expandable segments.

    Every range of addresses lies above those given out before. A driver may use the address of a
    freed segment again; that changes no choice of torch 2.13, which tells segments of one size
    apart by age. Memory is taken to the byte that is asked for: what the driver holds beyond it,
    and ranges that it cannot join, are not simulated.
    """

    def __init__(self, capacity_bytes: int | None, total_bytes: int | None) -> None:
        self.capacity_bytes = ENDLESS_BYTES if capacity_bytes is None else capacity_bytes
        self.total_bytes = self.capacity_bytes if total_bytes is None else total_bytes
        if self.capacity_bytes > self.total_bytes:
            raise ValueError("capacity_bytes is more than the device's total_bytes")
        self.reserved_bytes = 0
        self.peak_reserved_bytes = 0
        self.num_device_alloc = 0
        self.num_device_free = 0
        self.history: list[TraceEntry] | None = None
        self._next_address = FIRST_ADDRESS

    @property
    def free_bytes(self) -> int:
        """What the device can still give."""
        return self.capacity_bytes - self.reserved_bytes

    def reserve_addresses(self, size_bytes: int) -> int:
        """The address of a new range, without memory (cuMemAddressReserve)."""
        address = self._next_address
        self._next_address += size_bytes
        return address

    def malloc(self, size_bytes: int) -> int | None:
        """The address of a new segment; None where memory is out (cudaMalloc)."""
        address = self.reserve_addresses(size_bytes)
        return address if self._take("segment_alloc", address, size_bytes) else None

    def free(self, address: int, size_bytes: int) -> None:
        """Return a segment (cudaFree)."""
        self._give_back("segment_free", address, size_bytes)

    def map(self, address: int, size_bytes: int) -> bool:
        """Put memory behind addresses; False, and nothing done, where it is out."""
        return self._take("segment_map", address, size_bytes)

    def unmap(self, address: int, size_bytes: int) -> None:
        """Return the memory behind addresses."""
        self._give_back("segment_unmap", address, size_bytes)

    def record(self, action: str, address: int, size_bytes: int) -> None:
        """Add to the history, if one is kept; the time is the number of the entry.

        For "oom" the address is the bytes that the device has free.
        """
        if self.history is None:
            return
        entry = TraceEntry(
            action=action, size=size_bytes, stream=0, time_us=len(self.history), frames=[]
        )
        if action == "oom":
            entry["device_free"] = address
        else:
            entry["addr"] = address
        self.history.append(entry)

    def _take(self, action: str, address: int, size_bytes: int) -> bool:
        if size_bytes > self.free_bytes:
            return False
        self.reserved_bytes += size_bytes
        self.peak_reserved_bytes = max(self.peak_reserved_bytes, self.reserved_bytes)
        self.num_device_alloc += 1
        self.record(action, address, size_bytes)
        return True

    def _give_back(self, action: str, address: int, size_bytes: int) -> None:
        self.reserved_bytes -= size_bytes
        self.num_device_free += 1
        self.record(action, address, size_bytes)
