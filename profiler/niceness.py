"""Letting other processes of the machine go first."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_TRIES = 5
_PAUSE_S = 0.1
"""The kernel takes one change in so long from all that are not root (kernel/sched/autogroup.c)."""


def yield_to_others(by: int) -> None:
    """Lower the priority of this process and of all that it starts by so much (`nice`)."""
    os.nice(by)
    weigh_session()


def weigh_session() -> None:
    """Give the session that this process leads, if it does, the niceness of the process.

    Linux weighs sessions before processes where it groups them so (sched(7), autogroup), and a new
    session weighs as much as any other: its processes would be nice to each other only.
    """
    if os.getsid(0) != os.getpid():
        return
    niceness = str(os.nice(0))
    with suppress(OSError):  # not grouped here
        for _ in range(_TRIES):
            try:
                _AUTOGROUP.write_text(niceness)
                return
            except BlockingIOError:
                time.sleep(_PAUSE_S)
