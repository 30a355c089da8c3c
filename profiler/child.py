"""What a child does, from the fork to its end: shut itself in, do one job, say how it went."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from planner.errors import HeadroomError, StorageFull
from profiler import limits
from profiler.channel import Channel, JobResult
from profiler.frames import receive
from profiler.isolation import IsolationUnavailable, Mode, shut_in
from profiler.limits import Limits
from profiler.niceness import weigh_session
from profiler.outcome import RunOutOfMemory

Job = Callable[[dict[str, Any], Channel], JobResult]

_NO_MEMORY = ("can't allocate memory", "Cannot allocate memory", "bad_alloc", "out of memory")


def live(
    connection: socket.socket,
    jobs: Mapping[str, Job],
    scratch: Path,
    parent: int,
    mode: Mode,
    *,
    card: bool,
) -> None:
    """Do the job that arrives on the connection and end the process; never returns.

    `card` is whether it may use the machine's accelerator (`profiler.isolation.shut_in`).
    """
    status = 1
    try:
        _settle(scratch)
        try:
            shut_in(scratch, parent, mode, card=card)
        except IsolationUnavailable as error:
            Channel(connection, Limits()).failed(error.problem())
        else:
            _work(connection, jobs)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # No interpreter shutdown: it would run the warm process's exit handlers.
        os._exit(status)


def _settle(scratch: Path) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    weigh_session()
    os.chdir(scratch)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _work(connection: socket.socket, jobs: Mapping[str, Job]) -> None:
    frame = receive(connection)
    bounds = Limits(**frame.body["limits"])
    limits.apply(bounds)
    channel = Channel(connection, bounds)
    try:
        outcome = jobs[frame.kind](frame.body["payload"], channel)
    except RunOutOfMemory as error:
        channel.out_of_memory(error.detail, error.extra)
    except HeadroomError as error:
        _report(error, channel)
    except Exception as error:
        traceback.print_exc()
        _report(error, channel)
    else:
        channel.succeeded(outcome)


def _report(error: Exception, channel: Channel) -> None:
    if is_out_of_memory(error):
        channel.out_of_memory(_first_line(error), {})
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        channel.failed(StorageFull("the worker's scratch disk is full").problem())
    elif isinstance(error, HeadroomError):
        channel.failed(error.problem())
    else:
        detail = f"{type(error).__name__}: {_first_line(error)}"
        channel.failed(HeadroomError(detail).problem())


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an allocator refused, here or in what caused the error."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:1000]
