"""Watching a child and its forks from outside: resource limits hold for each process alone."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path
from typing import Literal

import psutil

_INTERVAL_SECONDS = 0.25
_INTERVALS_TO_COUNT = 4
"""The forks are looked for once in so many intervals: it means reading of every process."""

MAX_PROCESSES = 64
"""Of one job. A search for a plan forks a handful of helpers; nothing else forks."""

Excess = Literal["memory", "processes"]


async def watch(pid: int, allowed_bytes: int) -> Excess:
    """Return once the child and its forks are over a limit, and which; else wait for ever.

    Memory is what they hold more than the child at first. Pages that forks share are counted once.
    A process that has gone is no longer watched: its end is noticed elsewhere.
    """
    try:
        process = psutil.Process(pid)
        first = process.memory_info().rss
        for interval in itertools.count(1):
            if process.memory_info().rss - first > allowed_bytes:
                return "memory"
            if interval % _INTERVALS_TO_COUNT == 0:
                forks = members_of_group(pid)
                if len(forks) > MAX_PROCESSES:
                    return "processes"
                if len(forks) > 1 and _held_together(forks, first) > allowed_bytes:
                    return "memory"
            await asyncio.sleep(_INTERVAL_SECONDS)
    except psutil.Error:
        pass
    return await asyncio.Future()


def members_of_group(group: int) -> list[int]:
    """Ids of the processes of a process group, which a child's forks cannot leave."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path("/proc", name, "stat").read_bytes()
        except OSError:
            continue  # it has gone
        # After the name, which may hold anything: state, parent, group (proc_pid_stat(5)).
        if int(stat.rpartition(b")")[2].split()[2]) == group:
            found.append(int(name))
    return found


def _held_together(pids: list[int], first: int) -> int:
    """Bytes beyond `first` that processes hold, a page of several once.

    What each shares with the warm process is little here, so up to `first` of growth goes unseen.
    """
    processes = [psutil.Process(pid) for pid in pids]
    most: int = sum(max(0, process.memory_info().rss - first) for process in processes)
    if most <= 0:
        return 0
    together: int = sum(process.memory_full_info().pss for process in processes)
    return min(most, together - first)


def kernel_oom_kills() -> int:
    """Processes that the kernel has killed for want of memory; 0 where it does not say."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
