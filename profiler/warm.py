"""The warm process: imports torch and transformers once, then forks a child for each job.

It has one thread and never computes, so that forking it is safe: a pool of OpenMP or autograd
threads would be missing in the child, which would then wait for it forever. It ends, and takes its
children with it, when the worker that started it ends: its control connection closes then.

Commands come as JSON datagrams: `{"fork": job, "scratch": folder, "card": whether it may use the
accelerator}` with the child's end of a socket attached, `{"kill": job}`. It answers
`{"ready": pid}` once, then `{"forked": job, "pid": ...}` and
`{"exited": job, "status": ..., "peak_rss_bytes": ..., "cpu_seconds": ...}`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profiler import isolation
from profiler.child import Job, live
from profiler.isolation import Mode
from profiler.niceness import weigh_session

MAX_COMMAND_BYTES = 65_536


def main() -> None:
    """Serve on the control socket of the first argument, what the second says (JSON)."""
    control = socket.socket(fileno=int(sys.argv[1]))
    specification = json.loads(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever ends the worker ends this process in order: children killed, scratch removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    weigh_session()
    try:
        isolation.die_with_parent(specification["parent"], signal.SIGTERM)
        isolation.hide_memory()
        jobs = load_jobs(specification["jobs"])
        for module in specification["preload"]:
            importlib.import_module(module)
        # What is imported stays: a child's collector need not visit, and so copy, these pages.
        gc.collect()
        gc.freeze()
        WarmProcess(control, jobs, specification["isolation"]).serve()
    finally:
        shutil.rmtree(specification["scratch"], ignore_errors=True)


def load_jobs(specification: Mapping[str, str]) -> dict[str, Job]:
    """Import each job's function, written `module:function`."""
    jobs: dict[str, Job] = {}
    for kind, target in specification.items():
        module, _, name = target.partition(":")
        jobs[kind] = getattr(importlib.import_module(module), name)
    return jobs


class WarmProcess:
    """The loop between the control socket and the children."""

    def __init__(self, control: socket.socket, jobs: Mapping[str, Job], mode: Mode) -> None:
        self._control = control
        self._jobs = jobs
        self._mode = mode
        self._pids: dict[str, int] = {}
        self._wakeup, self._wakeup_in = socket.socketpair()

    def serve(self) -> None:
        """Serve until the worker closes the control socket; then kill every child."""
        self._watch_children()
        self._tell({"ready": os.getpid()})
        try:
            self._loop()
        finally:
            for job in list(self._pids):
                self._kill(job)

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wakeup, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._wakeup in ready:
                    self._drain_wakeups()
                    self._reap()
                if self._control in ready and not self._command():
                    return

    def _watch_children(self) -> None:
        self._wakeup.setblocking(False)
        self._wakeup_in.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_in.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _command(self) -> bool:
        """Obey one command; False when the worker is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_COMMAND_BYTES, 1)
        except ConnectionError:
            return False
        if not data:
            return False
        command = json.loads(data)
        if "fork" in command:
            self._fork(command["fork"], Path(command["scratch"]), command["card"], descriptors[0])
        elif "kill" in command:
            self._kill(command["kill"])
        return True

    def _fork(self, job: str, scratch: Path, card: bool, descriptor: int) -> None:
        if (threads := isolation.thread_count()) != 1:
            print(f"the warm process has {threads} threads; forking is unsafe", file=sys.stderr)
            os._exit(70)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            self._wakeup.close()
            connection = socket.socket(fileno=descriptor)
            live(connection, self._jobs, scratch, parent, self._mode, card=card)
        os.close(descriptor)
        self._pids[job] = pid
        self._tell({"forked": job, "pid": pid})

    def _kill(self, job: str) -> None:
        pid = self._pids.get(job)
        if pid is None:
            return
        # Before the child has made its own group, only the first of these finds it.
        os.kill(pid, signal.SIGKILL)
        _kill_group(pid)

    def _drain_wakeups(self) -> None:
        try:
            while self._wakeup.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _reap(self) -> None:
        for job, pid in list(self._pids.items()):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                continue
            # While it is a zombie its id cannot be another's: what it left running goes first.
            _kill_group(pid)
            _, status, usage = os.wait4(pid, 0)
            del self._pids[job]
            self._tell(
                {
                    "exited": job,
                    "status": os.waitstatus_to_exitcode(status),
                    "peak_rss_bytes": usage.ru_maxrss * 1024,
                    "cpu_seconds": usage.ru_utime + usage.ru_stime,
                }
            )

    def _tell(self, message: dict[str, Any]) -> None:
        # When the worker is gone, the closed control socket ends the loop.
        with contextlib.suppress(ConnectionError):
            self._control.send(json.dumps(message).encode())


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
