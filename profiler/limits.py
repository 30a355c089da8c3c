"""Bounds of one job, and how its child process holds itself to them."""

from __future__ import annotations

import os
import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

DEFAULT_HOST_SHARE = 0.6
"""Share of the host's memory that one job may take when nobody says otherwise."""

OVERHEAD_BYTES = 512 * 2**20
OVERHEAD_SHARE = 1 / 8
"""What a process may hold beyond the job's own tensors: code that it imports, thread stacks, the
profiler's event buffers (about 100 bytes an event); and the holes that malloc keeps after releases,
which grow with the tensors."""

_FILE_BYTES = 2**30
"""Largest file that a child may write: its log and scratch must not fill the disk."""

_OPEN_FILES = 1024
"""Most descriptors of a child; CUDA's driver takes some dozens, an import one at a time."""

_HOST_SHARE = 0.9
"""No job gets more than this, whatever was asked: the rest keeps the host alive."""

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Limits:
    """Bounds of one job.

    Attributes:
        wall_seconds: the child is killed after so long, however little it computed.
        memory_bytes: memory of the job beyond the warm process: live tensors of a run, everything
            that the tracer holds in a simulation. `None` takes a share of the host's memory.
        timing_budget_seconds: a run starts no further execution for `step_seconds` after so long.
    """

    wall_seconds: float = 600.0
    memory_bytes: int | None = None
    timing_budget_seconds: float = 60.0

    def resolved(self) -> Limits:
        """The same with every default filled in."""
        memory = default_memory_bytes() if self.memory_bytes is None else self.memory_bytes
        return Limits(self.wall_seconds, memory, self.timing_budget_seconds)

    @property
    def process_bytes(self) -> int:
        """Most bytes that the child may hold beyond what it inherited from the warm process."""
        memory = default_memory_bytes() if self.memory_bytes is None else self.memory_bytes
        wanted = memory + int(memory * OVERHEAD_SHARE) + OVERHEAD_BYTES
        return min(wanted, int(host_memory_bytes() * _HOST_SHARE))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; `Limits(**data)` is the inverse."""
        return asdict(self)


def host_memory_bytes() -> int:
    """Memory that this process can ever have: the host's, or its container's limit."""
    known = [int(psutil.virtual_memory().total)]
    for path in _CGROUP_LIMITS:
        try:
            known.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such controller, or "max"
            continue
    return min(known)


def default_memory_bytes() -> int:
    """The share of the host's memory that a job gets by default."""
    return int(host_memory_bytes() * DEFAULT_HOST_SHARE)


def apply(limits: Limits) -> None:
    """Bound this process by the kernel's resource limits. For a freshly forked child.

    Memory is bounded by RLIMIT_DATA, which counts private writable memory, so that torch's
    allocator gets ENOMEM and raises where the limit is passed. RLIMIT_AS would also count mapped
    files and address space that is only reserved (CUDA reserves far more than the host has).
    RLIMIT_NPROC stays: it counts all threads of the user, so strangers could make it refuse some;
    the executor counts the child's processes instead (`profiler.memory_watch`).
    """
    _lower(resource.RLIMIT_DATA, _data_bytes() + limits.process_bytes)
    cpu_seconds = int(limits.wall_seconds * (os.cpu_count() or 1)) + 10
    # The kernel warns (SIGXCPU) at the first and kills at the second: the warning says why.
    _lower(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 5)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, _FILE_BYTES)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)


def _lower(kind: int, soft: int, hard: int | None = None) -> None:
    hard = soft if hard is None else hard
    _, ceiling = resource.getrlimit(kind)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))


def _data_bytes() -> int:
    """Private writable memory of this process, as RLIMIT_DATA counts it."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
