"""Simulating several strategies at once: this process and forks of it, each with its workshop.

A fork is taken before anything has started threads, so it shares the imported libraries and can
trace at once. It ends when its end of the pipe closes, hence with its parent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NamedTuple

from planner.errors import HeadroomError, StrategyMismatch
from planner.planning.workshop import Workshop
from planner.strategy import Strategy
from planner.tape import Tape

MAX_HELPERS = 3


class Task(NamedTuple):
    """One strategy to simulate (`Workshop.trace`)."""

    strategy: Strategy
    preview: bool = False
    whole: bool = False


class Pool:
    """Runs tasks in this process and in helpers. Answers come in the order of the tasks."""

    def __init__(self, workshop: Workshop, helpers: int | None = None) -> None:
        """Fork the helpers.

        Args:
            helpers: how many; by default one for each core but one, none where threads run
                already.
        """
        self.workshop = workshop
        self._helpers = [_Helper(workshop) for _ in range(_count() if helpers is None else helpers)]

    def trace(self, tasks: Iterable[Task]) -> list[Tape | HeadroomError]:
        """The tape of each task, or why there is none.

        Tasks are asked for one by one, so that finding the next goes on while others are traced.
        """
        results: dict[int, Tape | HeadroomError] = {}
        busy: dict[int, _Helper] = {}

        def collect(wait: bool) -> None:
            for number, helper in list(busy.items()):
                if wait or helper.has_answer():
                    results[number] = busy.pop(number).answer()
                    self.workshop.traces += 1

        ahead: Task | None = None
        number = 0
        for task in tasks:
            if ahead is not None:
                collect(wait=False)
                idle = [helper for helper in self._helpers if helper not in busy.values()]
                if idle:
                    idle[0].begin(ahead)
                    busy[number] = idle[0]
                else:
                    results[number] = _attempt(self.workshop, ahead)
                number += 1
            ahead = task
        if ahead is not None:  # the last one is this process's own
            results[number] = _attempt(self.workshop, ahead)
        collect(wait=True)
        return [results[number] for number in sorted(results)]

    def close(self) -> None:
        """End the helpers."""
        for helper in self._helpers:
            helper.close()
        self._helpers = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Helper:
    """A fork of this process that simulates what it is sent."""

    def __init__(self, workshop: Workshop) -> None:
        self._connection, theirs = Pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._connection.close()
            _serve(theirs, workshop)
        theirs.close()

    def begin(self, task: Task) -> None:
        self._connection.send(task)

    def has_answer(self) -> bool:
        return self._connection.poll()

    def answer(self) -> Tape | HeadroomError:
        try:
            tape, problem = self._connection.recv()
        except EOFError:
            return StrategyMismatch("the process that simulated this strategy ended")
        return tape if tape is not None else _Failed(*problem)

    def close(self) -> None:
        self._connection.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class _Failed(HeadroomError):
    """A failure in a helper, with its type and detail."""

    def __init__(self, type: str, detail: str) -> None:
        super().__init__(detail)
        self.type = type  # type: ignore[misc]


def _serve(connection: Connection, workshop: Workshop) -> None:
    try:
        with workshop.tracer.active():
            while True:
                result = _attempt(workshop, connection.recv())
                if isinstance(result, HeadroomError):
                    connection.send((None, (result.type, result.detail)))
                else:
                    connection.send((result, None))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass
    finally:
        os._exit(0)  # no exit handlers: they belong to the parent


def _attempt(workshop: Workshop, task: Task) -> Tape | HeadroomError:
    try:
        return workshop.trace(*task)
    except HeadroomError as error:
        return error


def _count() -> int:
    tasks = Path("/proc/self/task")
    if not tasks.is_dir() or len(list(tasks.iterdir())) > 1:
        return 0
    return min(len(os.sched_getaffinity(0)) - 1, MAX_HELPERS)
