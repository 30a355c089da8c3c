"""An open-loop load generator: requests leave when they are due, whether earlier ones were answered
or not, and a latency counts from the moment that a request was due.

Closed loops (wrk, hey, Locust's users) send the next request when the last one was answered: a
service that stalls is asked less, and the requests that would have met the stall are missing from
the percentiles ("coordinated omission"). The tools that keep a rate (wrk2, vegeta, k6) are in none
of PyPI, Debian and npm as programs, so this is a small one on what uvicorn brings along: httptools
parses and uvloop schedules. A client library would take several times the processor time, on the
cores of the service.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools
import uvloop

_PATIENCE_S = 30.0
_IDLE_S = 3.0
"""A connection unused for longer is not used again: the server closes it after 5 s."""


@dataclass(frozen=True)
class Call:
    """A request as it goes over the wire, and what answers it rightly."""

    name: str
    payload: bytes
    expected: int


@dataclass(frozen=True)
class Sample:
    """One request: how long after it was due it left, and was answered whole.

    `status` is 0 where no answer came in 30 s, or the connection broke.
    """

    call: Call
    late_s: float
    seconds: float
    status: int

    @property
    def is_right(self) -> bool:
        """Whether the answer is the one expected."""
        return self.status == self.call.expected


def generate(
    urls: Sequence[str], streams: Sequence[tuple[float, Callable[[], Call]]], seconds: float
) -> list[Sample]:
    """Send calls for so long; each stream has its rate (1/s) and says what its next call is.

    Arrivals are a Poisson process, as those of clients that know nothing of each other, and go to
    the API processes by turns.
    """
    due = sorted(
        (at, number) for number, (rate, _) in enumerate(streams) for at in _arrivals(rate, seconds)
    )
    calls = [(at, streams[number][1]()) for at, number in due]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_generate([_Target(url) for url in urls], calls))


def _arrivals(rate: float, seconds: float) -> Iterator[float]:
    chance, at = random.Random(rate), 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        yield at


async def _generate(targets: list[_Target], calls: list[tuple[float, Call]]) -> list[Sample]:
    start = time.monotonic() + 0.5
    sending = []
    for number, (at, call) in enumerate(calls):
        if (pause := start + at - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        target = targets[number % len(targets)]
        sending.append(asyncio.create_task(target.send(call, start + at)))
    samples = await asyncio.gather(*sending)
    for target in targets:
        target.close()
    return samples


class _Target:
    """The connections to one API process: as many as there are requests at the same time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._idle: list[_Connection] = []

    async def send(self, call: Call, due: float) -> Sample:
        left = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                connection = await self._connection()
                left = time.monotonic()
                status = await connection.exchange(call.payload)
        except (TimeoutError, OSError):
            return Sample(call, left - due, time.monotonic() - due, 0)
        answered = time.monotonic()
        connection.used_at = answered
        if not connection.is_closed:
            self._idle.append(connection)
        return Sample(call, left - due, answered - due, status)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed and time.monotonic() - connection.used_at < _IDLE_S:
                return connection
            connection.close()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, *self._address)
        return connection

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class _Connection(asyncio.Protocol):
    """One request at a time, kept open after it."""

    def __init__(self) -> None:
        self.is_closed = False
        self.used_at = 0.0
        self._answer: asyncio.Future[int] | None = None

    async def exchange(self, payload: bytes) -> int:
        """Send a request; the status of its answer, which is read to the end."""
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(payload)
        try:
            return await self._answer
        except asyncio.CancelledError:  # out of patience
            self.close()
            raise

    def close(self) -> None:
        self.is_closed = True
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("closed before the answer"))

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if not self._parser.should_keep_alive():
            self.close()
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())
