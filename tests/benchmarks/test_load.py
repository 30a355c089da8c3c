from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

from app.database import migrate
from app.kit.pages import encode_cursor
from app.settings import Settings
from benchmarks.load.drain import Drained
from benchmarks.load.generator import Call, generate
from benchmarks.load.lists import QUERIES, plan_of
from benchmarks.load.rate import _quantile

PAYLOAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def server(answer):
    """A server whose connections are answered by the coroutine; yields its address."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    address = []

    async def serve():
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        ready.set()

    def run():
        loop.create_task(serve())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(30)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def respond(reader, writer, status=b"200 OK"):
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status)


def calls_at(rate: float, seconds: float, url: str):
    return generate([url], [(rate, lambda: Call("one", PAYLOAD, 200))], seconds)


class TestGenerator:
    def test_every_request_that_is_due_is_sent_and_answered(self):
        with server(respond) as url:
            samples = calls_at(100, 1, url)
        assert len(samples) == pytest.approx(100, abs=40)
        assert all(sample.is_right for sample in samples)

    def test_a_service_that_stalls_is_asked_on_and_the_wait_counts_from_when_a_request_was_due(
        self,
    ):
        released = asyncio.Event()
        connections = []

        async def stall(reader, writer):
            connections.append(writer)
            if len(connections) == 1:  # the first to come holds all the others up
                await asyncio.sleep(1)
                released.set()
            await released.wait()
            await respond(reader, writer)

        with server(stall) as url:
            samples = calls_at(50, 1, url)
        waits = [sample.seconds for sample in samples]
        assert len(connections) > 10  # a closed loop would have one
        assert max(waits) > 0.9
        # Those due evenly over the stall waited for what was left of it.
        assert sum(wait > 0.4 for wait in waits) > len(waits) / 4

    def test_a_wrong_answer_and_none_are_told(self):
        async def fail(reader, writer):
            await respond(reader, writer, b"500 Oops")

        async def hang_up(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        for answer, status in ((fail, 500), (hang_up, 0)):
            with server(answer) as url:
                samples = calls_at(30, 0.5, url)
            assert {sample.status for sample in samples} == {status}
            assert not any(sample.is_right for sample in samples)


def test_quantiles_are_values_that_were_measured():
    assert [_quantile(list(range(1, 101)), share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert _quantile([7], 0.5) == 7


def test_what_was_lost_or_done_twice_is_told():
    right = {
        "asked": 2,
        "succeeded": 2,
        "attempts": Counter(finished=2),
        "attempts_a_run": Counter({1: 2}),
        "ends_a_run": Counter({1: 2}),
        "by_worker": Counter(a=2),
        "seconds": 1.0,
    }
    assert Drained(**right).faults() == []
    wrong = {
        "succeeded": 1,
        "attempts": Counter(finished=1, lost=1),
        "attempts_a_run": Counter({1: 1}),
        "ends_a_run": Counter({1: 1, 2: 1}),
    }
    for name, value in wrong.items():
        assert len(Drained(**{**right, name: value}).faults()) == 1


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Settings:
    """SQLite, which chooses a plan by the schema alone; the benchmark looks at both, full."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("plans"))
    migrate(settings)
    return settings


@pytest.mark.parametrize("name", QUERIES)
async def test_no_page_reads_the_whole_table(empty_store, name):
    cursor = encode_cursor("sim_0123456789abcdef0123456789ab")
    plan = await plan_of(empty_store, {**QUERIES[name], "cursor": cursor})
    assert plan.index
    assert not plan.scans_the_table
