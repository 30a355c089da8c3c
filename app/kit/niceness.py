"""Letting other processes of the machine go first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")


def yield_to_others(by: int) -> None:
    """Lower the priority of this process and of all that it starts by so much (`nice`)."""
    niceness = os.nice(by)
    # Linux weighs sessions before processes where it groups them so (sched(7), autogroup): within a
    # session of its own a process would be nice to nobody.
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            _AUTOGROUP.write_text(str(niceness))
