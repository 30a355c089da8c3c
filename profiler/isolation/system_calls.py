"""A seccomp filter: system calls that no job has any use for, and that an intruder would.

The rest is allowed: torch, its threads and a card's driver use too many to list. `execve` is among
the refused, so whatever happens stays in this process, its threads and its forks.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from profiler.isolation.kernel import prctl, syscall

_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_PR_SET_PDEATHSIG = 1
_AF_UNIX = 1  # linux/socket.h
# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} of linux/sched.h.
_NEW_NAMESPACES = 0x7E020000

# linux/seccomp.h. Without SPEC_ALLOW, kernels before 5.16 switch off speculation for the process.
_SET_MODE_FILTER, _FLAG_SPEC_ALLOW = 1, 1 << 2
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_REFUSE = _ERRNO | errno.EPERM
# glibc and musl then take `clone`, whose flags a filter can see.
_ABSENT = _ERRNO | errno.ENOSYS

# linux/bpf_common.h: load a word of `struct seccomp_data`; jump if equal, at least, or a bit set.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets; low word, both are little-endian


class _Machine(NamedTuple):
    audit: int  # AUDIT_ARCH_* of linux/audit.h
    column: int  # of the table below


_MACHINES = {"x86_64": _Machine(0xC000003E, 0), "aarch64": _Machine(0xC00000B7, 1)}
_X32_BIT = 0x40000000  # x86-64's second set of numbers, for pointers of 32 bits

# Numbers on x86-64 (asm/unistd_64.h) and on aarch64 (asm-generic/unistd.h).
_REFUSED = {
    # other programs, and leaving the process group that is killed with the child
    "execve": (59, 221),
    "execveat": (322, 281),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440),
    # other namespaces and roots
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    # parts of the kernel in which holes were found time and again
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
}
_SOCKET, _CLONE, _CLONE3 = (41, 198), (56, 220), (435, 435)
_PRCTL, _PRLIMIT, _SECCOMP = (157, 167), (302, 261), (317, 277)


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction))]


def restrict(*, unix_sockets: bool) -> bool:
    """Refuse them to this process and what it forks, for good; False where that is not possible.

    It must have one thread. Refused calls fail with EPERM.

    Args:
        unix_sockets: whether it may make these; others it may not in any case.
    """
    machine = _MACHINES.get(os.uname().machine)
    if machine is None or sys.byteorder != "little" or sys.maxsize < 2**32:
        return False
    instructions = list(_filter(machine, unix_sockets))
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    try:
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        syscall(
            _SECCOMP[machine.column],
            ctypes.c_uint(_SET_MODE_FILTER),
            ctypes.c_uint(_FLAG_SPEC_ALLOW),
            ctypes.byref(program),
        )
    except OSError:
        return False
    return True


def _filter(machine: _Machine, unix_sockets: bool) -> Iterator[_Instruction]:
    """The program: each rule is a comparison that skips the rule's own answer."""
    column = machine.column
    yield _Instruction(_LOAD, 0, 0, _ARCHITECTURE)
    yield from _rule(_EQUAL, machine.audit, _KILL_PROCESS, unless=True)
    yield _Instruction(_LOAD, 0, 0, _NUMBER)
    if column == 0:
        yield from _rule(_AT_LEAST, _X32_BIT, _REFUSE)
    yield from _rule(_EQUAL, _CLONE3[column], _ABSENT)
    for numbers in _REFUSED.values():
        yield from _rule(_EQUAL, numbers[column], _REFUSE)
    yield from _by_argument(_CLONE[column], _rule(_ANY_BIT, _NEW_NAMESPACES, _REFUSE))
    yield from _by_argument(_PRCTL[column], _rule(_EQUAL, _PR_SET_PDEATHSIG, _REFUSE))
    # Limits of this process (0) only.
    yield from _by_argument(_PRLIMIT[column], _rule(_EQUAL, 0, _REFUSE, unless=True))
    if unix_sockets:
        only_unix = _rule(_EQUAL, _AF_UNIX, _REFUSE, unless=True)
        yield from _by_argument(_SOCKET[column], only_unix)
    else:
        yield from _rule(_EQUAL, _SOCKET[column], _REFUSE)
    yield _Instruction(_RETURN, 0, 0, _ALLOW)


def _rule(
    comparison: int, operand: int, answer: int, *, unless: bool = False
) -> Iterator[_Instruction]:
    """Answer so if the comparison holds, or unless it does."""
    yield _Instruction(comparison, int(unless), int(not unless), operand)
    yield _Instruction(_RETURN, 0, 0, answer)


def _by_argument(number: int, rule: Iterator[_Instruction]) -> Iterator[_Instruction]:
    """A rule for the first argument of one system call; all else of that call is allowed."""
    body = [_Instruction(_LOAD, 0, 0, _FIRST_ARGUMENT), *rule, _Instruction(_RETURN, 0, 0, _ALLOW)]
    yield _Instruction(_EQUAL, 0, len(body), number)
    yield from body
