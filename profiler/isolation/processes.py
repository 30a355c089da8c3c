"""A process among others: who ends it, what it may do to them, and they to it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from pathlib import Path

from profiler.isolation.kernel import drop_all_capabilities, prctl

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send a signal when this process's parent ends; end at once if it has already.

    The signal is tied to the *thread* that forked, so the parent must fork from one that stays. A
    change of credentials clears it: call this after `leave_network` and `drop_capabilities`.

    Raises:
        SystemExit: the parent ended before the kernel was asked.
    """
    prctl(_PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        raise SystemExit("the parent process has gone")


def drop_capabilities() -> None:
    """Give up every capability: as root, those of root; in a user namespace, those over it.

    What root started is then no more than a user who happens to own root's files, and the kernel
    lets it look into no process that still has capabilities.

    Raises:
        OSError: the kernel refused.
    """
    for capability in range(64):
        try:
            prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            # EINVAL: that was the last one. EPERM: an ordinary user, who has none to give up.
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            break
    drop_all_capabilities()


def hide_memory() -> None:
    """Keep other processes of this user from this one's memory and environment.

    It also leaves no core dump, and debuggers need root. For processes that hold credentials. A
    program that this one starts is as open as any. Only Linux knows it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            prctl(_PR_SET_DUMPABLE, 0)


def show_memory() -> None:
    """Undo `hide_memory`: while hidden, an ordinary user's process cannot write to its own files in
    /proc, as a user namespace asks of it.
    """
    with contextlib.suppress(OSError):
        prctl(_PR_SET_DUMPABLE, 1)


def prefer_for_oom_kill() -> None:
    """Make this process the one that the kernel kills first when the host runs out of memory."""
    # Some containers do not allow it; the resource limits still hold.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def thread_count() -> int:
    """Threads of this process."""
    return len(os.listdir("/proc/self/task"))
