"""What separates a child from the rest of the machine, beyond resource limits. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000

_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send a signal when this process's parent ends; end at once if it has already.

    The signal is tied to the *thread* that forked, so the parent must fork from one that stays. A
    change of credentials clears it: call this after `leave_network`.

    Raises:
        SystemExit: the parent ended before the kernel was asked.
    """
    if _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise SystemExit("the parent process has gone")


def leave_network() -> bool:
    """Move into a network namespace without interfaces; False where the platform does not allow it.

    Without privileges it takes a user namespace too. The process must have one thread.
    """
    if _LIBC.unshare(_CLONE_NEWNET) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if _LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    # Without the maps, files belong to the overflow user for this process; nothing else changes.
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def prefer_for_oom_kill() -> None:
    """Make this process the one that the kernel kills first when the host runs out of memory."""
    # Some containers do not allow it; the resource limits still hold.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def thread_count() -> int:
    """Threads of this process."""
    return len(os.listdir("/proc/self/task"))
