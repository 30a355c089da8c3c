"""What an intruder in a child would try. The tests of the isolation have a child do it."""

import ctypes
import os
import resource
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from profiler.channel import JobResult

LIBC = ctypes.CDLL(None, use_errno=True)


def attack(payload, channel):
    """Each attempt's error, by name; null for one that worked."""
    parent = os.getppid()
    secret, outside = Path(payload["secret"]), Path(payload["outside"])
    attempts: dict[str, Callable[[], Any]] = {
        "internet socket": lambda: socket.socket(socket.AF_INET),
        "ipv6 socket": lambda: socket.socket(socket.AF_INET6),
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "download": lambda: urllib.request.urlopen("http://127.0.0.1:9/", timeout=1),
        "start a program": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
        "read a secret file": secret.read_text,
        "read shadow": Path("/etc/shadow").read_text,
        "list a folder": lambda: os.listdir(secret.parent),
        "write outside": lambda: outside.write_text("x"),
        "make a folder outside": lambda: Path(f"{outside}.d").mkdir(),
        "remove outside": secret.unlink,
        "link a secret here": lambda: os.link(secret, "linked"),
        "write into the installation": lambda: os.open(os.__file__, os.O_RDWR),
        "parent's environment": Path(f"/proc/{parent}/environ").read_bytes,
        "parent's memory": lambda: os.open(f"/proc/{parent}/mem", os.O_RDWR),
        "parent's files": lambda: os.readlink(f"/proc/{parent}/fd/0"),
        "kill the parent": lambda: os.kill(parent, 0),
        "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, (9, 9)),
        "trace the parent": lambda: libc("ptrace", 16, parent, None, None),
        "new namespaces": lambda: libc("unshare", 0x10000000 | 0x40000000),
        "mount": lambda: libc("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "outlive the group": lambda: os.setpgid(0, os.getpid()),
        "a session of its own": os.setsid,
        "outlive the parent": lambda: libc("prctl", 1, 0),
        "become another user": lambda: os.setuid(12345),
    }
    return JobResult({"errors": {name: _error(each) for name, each in attempts.items()}})


def work(payload, channel):
    """What any job may do."""
    Path("here").write_text("x")
    done = []
    thread = threading.Thread(target=lambda: done.append("thread"))
    thread.start()
    thread.join()
    ours, theirs = socket.socketpair()
    ours.send(b"x")
    pid = os.fork()
    if pid == 0:
        signal.pause()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return JobResult({"done": [*done, Path("here").read_text(), theirs.recv(1).decode()]})


def environment(payload, channel):
    return JobResult({"environment": dict(os.environ)})


def forks(payload, channel):
    """Forks for ever, each one idle."""
    channel.progress({"phase": "forking", "pid": os.getpid()})
    count = 0
    while count < 100_000:
        try:
            if os.fork() == 0:
                signal.pause()
        except BlockingIOError:
            signal.pause()
        count += 1
    return JobResult({})


def shared(payload, channel):
    """Memory that forks inherit: it is there once."""
    held = bytearray(b"x") * (payload["mebibytes"] * 2**20)
    for _ in range(payload["forks"]):
        if os.fork() == 0:
            signal.pause()
    time.sleep(3)  # several looks of the watching parent
    return JobResult({"held": len(held)})


def hoard(payload, channel):
    """Memory of each fork."""
    for _ in range(payload["forks"]):
        if os.fork() == 0:
            held = bytearray(b"x") * (payload["mebibytes"] * 2**20)
            signal.pause()
            os._exit(len(held) % 2)
    time.sleep(600)
    return JobResult({})


def libc(name, *arguments):
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _error(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    return None
