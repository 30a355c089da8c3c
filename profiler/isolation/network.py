"""Leaving the network by a namespace."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from profiler.isolation.kernel import unshare

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000


def leave_network() -> bool:
    """Move into a network namespace without interfaces; False where the platform does not allow it.

    Without privileges it takes a user namespace too. The process must have one thread.
    """
    with contextlib.suppress(OSError):
        unshare(_CLONE_NEWNET)
        return True
    user, group = os.getuid(), os.getgid()
    try:
        unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    except OSError:
        return False
    # Without the maps, files belong to the overflow user for this process; nothing else changes.
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True
