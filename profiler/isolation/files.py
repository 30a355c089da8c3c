"""Landlock: which files a process may read, and the one folder that it may write to.

Structures and constants are those of linux/landlock.h; the numbers of its system calls are the same
on every architecture. What a kernel's version of Landlock does not know is left out of the request.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import site
import sys
from collections.abc import Iterator
from pathlib import Path

from profiler.isolation.kernel import prctl, syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # asm-generic/unistd.h
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # the others are of folders
_READ = _READ_FILE | _READ_DIR
# Access rights, TCP (bind and connect) and scopes (abstract Unix sockets and signals), each with
# the first version that knows it. No TCP port and no process beyond its own children is allowed.
_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: _TRUNCATE, 5: _IOCTL_DEV}
_TCP = {4: 0b11}
_SCOPES = {6: 0b11}
# As in a scratch folder: all but to make devices, and to execute.
_NO_USE = 1 << 0 | 1 << 6 | 1 << 11 | _IOCTL_DEV

_SYSTEM = ("/usr", "/lib", "/lib64", "/proc", "/sys")
# What the C library, time zones and user names need of /etc; the rest may hold credentials.
_ETC = ("ld.so.cache", "localtime", "nsswitch.conf", "passwd", "group")
_DEVICES = ("null", "zero", "full", "random", "urandom")


class _Ruleset(ctypes.Structure):
    _fields_ = [
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def confine(scratch: Path, *, card: bool) -> int:
    """Keep this process to what it needs, for good; returns the version of Landlock, 0 for none.

    Args:
        scratch: the only folder that it may write to.
        card: leave it the device files of NVIDIA cards.

    Raises:
        OSError: the kernel has Landlock, and refused.
    """
    version = landlock_version()
    if version == 0:
        return 0
    handled = _known(_RIGHTS, version)
    rules = _Ruleset(handled, _known(_TCP, version), _known(_SCOPES, version))
    # Older kernels know fewer fields, and take more of them as long as these are zero.
    size = ctypes.c_size_t(ctypes.sizeof(rules))
    ruleset = syscall(_CREATE_RULESET, ctypes.byref(rules), size, ctypes.c_uint32(0))
    try:
        for path in readable():
            _allow(ruleset, path, _READ & handled)
        for path in _devices(card):
            _allow(ruleset, path, (_READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV) & handled)
        _allow(ruleset, scratch, handled & ~_NO_USE)
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return version


def landlock_version() -> int:
    """The kernel's version of Landlock (its ABI); 0 where there is none or it is switched off."""
    with contextlib.suppress(OSError):
        version = ctypes.c_uint32(_CREATE_RULESET_VERSION)
        return syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), version)
    return 0


def readable() -> set[Path]:
    """What a process needs to read: the system's libraries, Python, and the code it has imported.

    Of an entry of `sys.path` that is no installation (a checkout, the folder that the service was
    started in), only what was imported, since all sorts of things may lie beside it.
    """
    installed = [sys.prefix, sys.base_prefix, *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        installed.append(site.getusersitepackages())
    paths = {Path(path).resolve() for path in (*_SYSTEM, *installed)}
    paths |= {Path("/etc", name) for name in _ETC}
    for name, module in list(sys.modules.items()):
        if "." not in name and name != "__main__":
            paths |= {Path(path).resolve() for path in _places(module)}
    return {path for path in paths if path != Path("/")}


def _places(module: object) -> Iterator[str]:
    folders = getattr(module, "__path__", None)
    file = getattr(module, "__file__", None)
    if folders is not None:
        yield from folders
    elif isinstance(file, str):
        yield file


def _devices(card: bool) -> list[Path]:
    found = [Path("/dev", name) for name in _DEVICES]
    return [*found, *Path("/dev").glob("nvidia*")] if card else found


def _known(since: dict[int, int], version: int) -> int:
    return sum(bits for first, bits in since.items() if first <= version)


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine
    try:
        rights = access if path.is_dir() else access & _OF_FILES
        rule = _PathBeneath(rights, descriptor)
        syscall(
            _ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(descriptor)
