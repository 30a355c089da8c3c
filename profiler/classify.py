"""From what was seen of a child to the outcome of its job."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from planner.errors import HeadroomError, LimitExceeded, WorkerCrashed
from planner.quantities import format_bytes
from profiler.frames import Frame
from profiler.limits import Limits
from profiler.memory_watch import MAX_PROCESSES, Excess
from profiler.outcome import ChildExit, Outcome, RunOutOfMemory

FINAL_KINDS = ("succeeded", "failed", "out_of_memory")


@dataclass
class Observed:
    """Everything seen of one child, from the fork to its end."""

    kind: str
    limits: Limits
    last: Frame | None = None
    phase: str | None = None
    timed_out: bool = False
    excess: Excess | None = None
    kernel_killed: bool = False
    closed: bool = False
    malformed: str | None = None
    exit: ChildExit = field(default_factory=ChildExit)


def classify(observed: Observed) -> Outcome:
    """The outcome: what the child said when it said something final, else why it could not."""
    last = observed.last
    if last is not None and last.kind == "succeeded":
        return Outcome("succeeded", last.body, None, last.attachments, observed.exit)
    if last is not None and last.kind == "failed":
        return _failed(last.body.get("problem") or {}, observed)
    if last is not None and last.kind == "out_of_memory":
        body = dict(last.body)
        return _out_of_memory(observed, str(body.pop("detail", "")), body)
    if observed.timed_out or observed.exit.signal == "SIGXCPU":
        seconds = observed.limits.wall_seconds
        return _error(
            LimitExceeded(f"the job took longer than {seconds:g} s", phase=observed.phase), observed
        )
    if observed.excess == "processes":
        detail = f"the job started more than {MAX_PROCESSES} processes"
        return _error(LimitExceeded(detail, phase=observed.phase), observed)
    if observed.excess == "memory" or observed.kernel_killed:
        return _out_of_memory(observed, "", {})
    return _error(WorkerCrashed(_how_it_ended(observed), phase=observed.phase), observed)


def _out_of_memory(observed: Observed, detail: str, extra: dict[str, Any]) -> Outcome:
    extra = {"phase": observed.phase, "limit_bytes": observed.limits.memory_bytes, **extra}
    limit = extra["limit_bytes"]
    allowed = format_bytes(limit) if limit is not None else "this host gives it"
    sentence = f"the job needs more memory than the {allowed} that it may take"
    detail = f"{sentence}: {detail}" if detail else sentence
    if observed.kind == "run":
        error: HeadroomError = RunOutOfMemory(detail, **extra)
        return Outcome("out_of_memory", None, error.problem(), {}, observed.exit)
    return _error(LimitExceeded(detail, **extra), observed)


def _how_it_ended(observed: Observed) -> str:
    if observed.malformed is not None:
        return f"the child's answer was malformed: {observed.malformed}"
    if observed.exit.signal is not None:
        return f"the child was killed by {observed.exit.signal}"
    if observed.exit.code is not None:
        return f"the child exited with status {observed.exit.code} without an answer"
    return "the child ended with the process that it was forked from"


def _error(error: HeadroomError, observed: Observed) -> Outcome:
    return _failed(error.problem(), observed)


def _failed(problem: dict[str, Any], observed: Observed) -> Outcome:
    return Outcome("failed", None, problem, {}, observed.exit)


def signal_name(status: int) -> str | None:
    """`-9` -> `SIGKILL`; None for an exit status."""
    if status >= 0:
        return None
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
