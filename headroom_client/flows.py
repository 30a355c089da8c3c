"""The calls of the API without any input or output: what to send next, given what came back.

A flow is a generator: it yields `Call`s and `Pause`s, is sent `Answer`s, and returns the JSON of
the answer. `synchronous.py` and `asynchronous.py` drive the same flows.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headroom_client.errors import JobFailed, NotReached, ServiceError
from headroom_client.resources import FINAL

Json = dict[str, Any]
OnProgress = Callable[[Json], None]

_MOST_WAIT_S = 20.0
"""Asked of the service in one call; the connection may be cut by something in between later."""
_FIRST_POLL_S, _LAST_POLL_S = 0.2, 2.0
_TRANSIENT = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.25, 10.0


@dataclass(frozen=True)
class Call:
    """One HTTP request to make."""

    method: str
    path: str
    body: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False
    """Whether the answer is wanted as bytes, not as JSON."""


@dataclass(frozen=True)
class Answer:
    """What came back; `status` 0 where nothing did."""

    status: int
    content: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """Seconds to do nothing."""

    seconds: float


Flow = Generator[Call | Pause, Answer | None, Any]


def request(call: Call, retries: int) -> Flow:
    """One call, repeated where the service is away, overloaded or asks to come again later.

    Raises:
        NotReached: nothing answered.
        ServiceError: the answer is a problem.
    """
    attempt = 0
    while True:
        answer = yield call
        assert answer is not None
        if 200 <= answer.status < 300:
            return answer.content
        transient = answer.status == 0 or answer.status in _TRANSIENT
        if not transient or attempt >= retries:
            break
        yield Pause(_pause(answer, attempt))
        attempt += 1
    if answer.status == 0:
        raise NotReached(str(answer.content))
    problem = answer.content if isinstance(answer.content, dict) else {}
    raise ServiceError(
        answer.status, problem or {"type": "about:blank", "title": "No problem object"}
    )


def _pause(answer: Answer, attempt: int) -> float:
    """As long as the service says, else longer each time, scattered so that clients spread."""
    asked = answer.headers.get("retry-after", "")
    if asked.isdigit():
        return min(float(asked), 60.0)
    longest = min(_LAST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)
    return longest * (0.5 + random.random() / 2)


def submit(
    path: str,
    body: Any,
    retries: int,
    *,
    wait: float | None = None,
    on_progress: OnProgress | None = None,
    first_wait: float = _MOST_WAIT_S,
) -> Flow:
    """POST something that takes time, and follow it to its end, or until `wait` seconds are over.

    Safe to repeat: each submission has an idempotency key of its own.
    """
    deadline = None if wait is None else time.monotonic() + wait
    asked = first_wait if wait is None else min(first_wait, wait)
    headers = {"Idempotency-Key": uuid.uuid4().hex, "Prefer": f"wait={asked:g}"}
    resource = yield from request(Call("POST", path, body, headers=headers), retries)
    pause = _FIRST_POLL_S
    while resource["status"] not in FINAL:
        if on_progress is not None:
            on_progress(resource)
        if deadline is not None:
            if (left := deadline - time.monotonic()) <= 0:
                return resource
            pause = min(pause, left)
        yield Pause(pause)
        pause = min(pause * 1.5, _LAST_POLL_S)
        resource = yield from request(Call("GET", f"{path}/{resource['id']}"), retries)
    return resource


def succeeded(flow: Flow) -> Flow:
    """The flow's resource, unless it has ended without a result.

    A run that is out of memory has a result: that.

    Raises:
        JobFailed: it failed or was cancelled.
    """
    resource = yield from flow
    if resource["status"] in ("failed", "cancelled"):
        raise JobFailed(resource)
    return resource


def listing(path: str, retries: int, cursor: str | None, **filters: Any) -> Flow:
    """One page of a list."""
    parameters = {name: value for name, value in filters.items() if value is not None}
    if cursor is not None:
        parameters["cursor"] = cursor
    return (yield from request(Call("GET", path, parameters=parameters), retries))
