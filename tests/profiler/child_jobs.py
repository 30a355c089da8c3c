"""Jobs that misbehave in every way that a child can. The executor's tests have children do them."""

import os
import signal
import struct
import sys
import time
from pathlib import Path

import torch

from planner.errors import StepFailed
from profiler.channel import JobResult


def echo(payload, channel):
    return JobResult({"payload": payload, "pid": os.getpid()}, {"blob": bytes(range(256)) * 4096})


def facts(payload, channel):
    """What the child sees of its surroundings."""
    import resource

    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    interfaces = [line.partition(":")[0].strip() for line in lines]
    return JobResult(
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "session": os.getsid(0),
            "cwd": os.getcwd(),
            "environment": dict(os.environ),
            "interfaces": interfaces,
            "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
            "file": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
            "cpu": resource.getrlimit(resource.RLIMIT_CPU),
            "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
            "stdout_is_log": os.path.realpath("/proc/self/fd/1"),
        }
    )


def compute(payload, channel):
    """Starts OpenMP and autograd threads in the child."""
    a = torch.randn(600, 600, requires_grad=True)
    (a @ a).sum().backward()
    return JobResult({"finite": bool(a.grad.isfinite().all()), "threads": torch.get_num_threads()})


def sleep(payload, channel):
    channel.progress({"phase": "sleeping", "pid": os.getpid()})
    time.sleep(payload["seconds"])
    return JobResult({"pid": os.getpid()})


def sleep_with_grandchild(payload, channel):
    grandchild = os.fork()
    if grandchild == 0:
        time.sleep(600)
        os._exit(0)
    channel.progress({"phase": "sleeping", "pid": os.getpid(), "grandchild": grandchild})
    time.sleep(600)


def phases(payload, channel):
    for name in ("step0.forward", "step0.backward", "step0.backward", "step1.forward"):
        channel.progress({"phase": name})
    for index in range(1000):
        channel.progress({"op": index})
    return JobResult({})


def refuse(payload, channel):
    channel.progress({"phase": "step0.forward"})
    raise StepFailed("shapes differ", pointer="/workload")


def bug(payload, channel):
    raise ZeroDivisionError("a mistake of ours")


def killed(payload, channel):
    channel.progress({"phase": "step1.backward"})
    print("about to go", flush=True)
    os.kill(os.getpid(), payload["signal"])
    time.sleep(60)


def exits(payload, channel):
    print(
        "terminate called after throwing an instance of 'c10::Error'", file=sys.stderr, flush=True
    )
    os._exit(payload["code"])


def allocate(payload, channel):
    """Touches torch memory until it is refused."""
    channel.progress({"phase": "step0.forward"})
    held = []
    for _ in range(payload["mebibytes"] // 64):
        held.append(torch.ones(64 * 2**18))
    return JobResult({"held": len(held)})


def allocate_and_wrap(payload, channel):
    try:
        return allocate(payload, channel)
    except RuntimeError as error:
        raise StepFailed(f"RuntimeError: {error}") from error


def allocate_shared(payload, channel):
    """Memory that RLIMIT_DATA does not count: only the watching parent sees it."""
    import mmap

    channel.progress({"phase": "step0.forward"})
    area = mmap.mmap(-1, payload["mebibytes"] * 2**20)  # shared and anonymous
    for offset in range(0, len(area), 4096):
        area[offset] = 1
    time.sleep(60)
    return JobResult({"held": len(area)})


def allocate_python(payload, channel):
    channel.progress({"phase": "build"})
    return JobResult({"held": len(bytearray(payload["mebibytes"] * 2**20))})


def garbage(payload, channel):
    channel._connection.sendall(struct.pack(">I", 7) + b"not json")
    time.sleep(60)


def oversized(payload, channel):
    channel._connection.sendall(struct.pack(">I", 2**32 - 1))
    time.sleep(60)


def unknown_kind(payload, channel):
    from profiler.frames import Frame, send

    send(channel._connection, Frame("surprise"))
    time.sleep(60)


def half_a_frame(payload, channel):
    header = b'{"kind": "succeeded", "body": {}, "attachments": [["tape", 1000]]}'
    channel._connection.sendall(struct.pack(">I", len(header)) + header + b"only this much")
    os._exit(0)


def not_json(payload, channel):
    return JobResult({"peak": float("nan")})


def stubborn(payload, channel):
    """Ignores every signal that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel.progress({"phase": "sleeping", "pid": os.getpid()})
    while True:
        time.sleep(1)
