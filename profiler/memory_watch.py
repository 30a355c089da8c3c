"""Watching a child's resident memory from outside: its resource limit does not count everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

_INTERVAL_SECONDS = 0.25


async def watch(pid: int, allowed_bytes: int) -> None:
    """Return once the process holds `allowed_bytes` more than at first; else wait for ever.

    A process that has gone is no longer watched: its end is noticed elsewhere.
    """
    try:
        process = psutil.Process(pid)
        first = process.memory_info().rss
        while process.memory_info().rss - first <= allowed_bytes:
            await asyncio.sleep(_INTERVAL_SECONDS)
    except psutil.Error:
        await asyncio.Event().wait()


def kernel_oom_kills() -> int:
    """Processes that the kernel has killed for want of memory; 0 where it does not say."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
