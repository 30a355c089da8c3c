"""The C library's doors to the kernel that Python has no names for."""

from __future__ import annotations

import ctypes
import os

_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h: three sets of two words each

_LIBC = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int = 0) -> None:
    """prctl(2) with one argument.

    Raises:
        OSError: the kernel refused.
    """
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(option, ctypes.c_ulong(argument), zero, zero, zero) != 0:
        raise _error(f"prctl({option})")


def unshare(flags: int) -> None:
    """unshare(2).

    Raises:
        OSError: the kernel refused.
    """
    if _LIBC.unshare(flags) != 0:
        raise _error("unshare")


def drop_all_capabilities() -> None:
    """capset(2) of this process with nothing in any set.

    Raises:
        OSError: the kernel refused.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if _LIBC.capset(header, (ctypes.c_uint32 * 6)()) != 0:
        raise _error("capset")


def syscall(number: int, *arguments: object) -> int:
    """syscall(2) with ctypes values; returns what the call does.

    Raises:
        OSError: the kernel refused, or has no such call.
    """
    result = int(_LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise _error(f"system call {number}")
    return result


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
