"""What separates a child from the rest of the machine, beyond resource limits. Linux only.

A child builds what a stranger described. Descriptions hold no code, so what is here is for the day
on which one makes a library do what it should not: such a child has no network, starts no program,
reads only the installation, writes only its scratch folder, and cannot look into another process.
Each layer is taken where the kernel has it (`Isolation` says which) and none needs privileges:

- `network`: a network namespace without interfaces,
- `files`: Landlock,
- `system_calls`: a seccomp filter,
- `processes`: capabilities dropped; the child dies with its parent and is the first to be killed
  when memory runs out.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from planner.errors import HeadroomError
from profiler.isolation import files, processes, system_calls
from profiler.isolation.network import leave_network
from profiler.isolation.processes import die_with_parent, hide_memory, thread_count

__all__ = [
    "Isolation",
    "IsolationUnavailable",
    "Mode",
    "die_with_parent",
    "hide_memory",
    "shut_in",
    "thread_count",
]

Mode = Literal["auto", "required", "off"]
"""Take what the kernel has; refuse to work without all of it; take none."""


class IsolationUnavailable(HeadroomError):
    """The platform cannot shut a child in, and the settings ask for it."""

    type = "isolation-unavailable"
    title = "Jobs cannot be isolated on this machine"


@dataclass(frozen=True)
class Isolation:
    """What is in force in a process.

    Attributes:
        network: what keeps it from the network: `namespace` (one without interfaces), `seccomp` (no
            sockets), or `namespace+seccomp`; None: nothing does.
        files: `landlock` and its version in the kernel, or None: whatever the user may read.
        system_calls: `seccomp`, or None: all of them.
    """

    network: str | None = None
    files: str | None = None
    system_calls: str | None = None

    @property
    def missing(self) -> list[str]:
        """Layers that are not in force."""
        return [name for name, layer in asdict(self).items() if layer is None]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def shut_in(scratch: Path, parent: int, mode: Mode, *, card: bool) -> Isolation:
    """Separate this process from the machine, for good. It must have one thread.

    Args:
        scratch: the only folder that it may write to.
        parent: the process whose end is its own too.
        card: leave it the NVIDIA device files, and the Unix sockets that the driver talks over.

    Raises:
        IsolationUnavailable: mode is `required` and a layer cannot be had.
        SystemExit: the parent has ended.
    """
    # Libraries that ask for a temporary folder get the one that they can write to.
    tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
    processes.show_memory()
    processes.prefer_for_oom_kill()
    if mode == "off":
        die_with_parent(parent)
        return Isolation()
    has_namespace = leave_network()
    processes.drop_capabilities()
    die_with_parent(parent)  # a change of credentials would clear it
    version = files.confine(scratch, card=card)
    has_filter = system_calls.restrict(unix_sockets=card)
    ways = (("namespace", has_namespace), ("seccomp", has_filter))
    found = Isolation(
        network="+".join(way for way, taken in ways if taken) or None,
        files=f"landlock {version}" if version else None,
        system_calls="seccomp" if has_filter else None,
    )
    if mode == "required" and found.missing:
        raise IsolationUnavailable(
            f"the kernel gives a child no isolation of {', '.join(found.missing)}; use Linux 5.13 "
            "or newer with Landlock and seccomp, on x86-64 or aarch64, or set "
            "HEADROOM_ISOLATION=auto"
        )
    return found
