"""Reads and cached simulations at a fixed rate while workers trace: by call, how long they take."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass

import httpx2
import psutil

from benchmarks.load.generator import Sample, generate
from benchmarks.load.mix import Mix, store_patterns
from benchmarks.load.rows import body, fill
from benchmarks.load.service import running

_TRACED = {"task": "text-generation", "config": {"model_type": "gpt2", "n_layer": 12}}
_WARM_UP_S = 5.0
_HEADER = (
    "| call | requests | wrong or no answer | p50 ms | p90 ms | p99 ms | max ms |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)


@dataclass(frozen=True)
class Rate:
    """What is asked of the service, and of how much of it there is."""

    reads_per_s: float = 200
    cached_per_s: float = 20
    seconds: float = 60
    api_processes: int = 1
    workers: int = 2
    stored: int = 10_000
    auth: bool = True


def measure(rate: Rate) -> str:
    """Markdown: a table by call, and what the processes took."""
    with running("postgresql", rate.auth) as service:
        apis = [service.start_api() for _ in range(rate.api_processes)]
        workers = [service.start_worker(f"worker-{number}") for number in range(rate.workers)]
        with service.client(apis[0]) as client:
            stored = store_patterns(client)
            stored.simulations.extend(fill(service.settings, rate.stored).ids[-1_000:])
            mix = Mix(client, stored, service.headers)
            streams = [(rate.reads_per_s, mix.read), (rate.cached_per_s, mix.cached)]
            _queue(client, int(4 * (rate.seconds + _WARM_UP_S)) + 20)
            urls = [api.url for api in apis]
            generate(urls, streams, _WARM_UP_S)
            before = _Usage.now([api.process for api in apis], workers, _traced(client))
            samples = generate(urls, streams, rate.seconds)
            used = _Usage.now([api.process for api in apis], workers, _traced(client))
    return _table(samples) + "\n\n" + _story(rate, samples, before, used)


def _queue(client: httpx2.Client, count: int) -> None:
    """More to trace than the workers get done meanwhile, each another request."""
    for number in range(count):
        request = body(_TRACED, batch_size=1 + number % 64, sequence_length=128 + number // 64)
        client.post("/v1/simulations", json=request, headers={"Prefer": "respond-async"})


def _traced(client: httpx2.Client) -> int:
    """Simulations that have succeeded so far."""
    text = client.get("/metrics").text
    found = re.search(r'headroom_jobs\{kind="simulation",status="succeeded"\} (\S+)', text)
    assert found is not None, text
    return int(float(found[1]))


@dataclass(frozen=True)
class _Usage:
    """Processor seconds so far."""

    api_s: float
    workers_s: float
    generator_s: float
    busy_s: float
    traced: int
    at_s: float

    @classmethod
    def now(cls, apis: list[psutil.Process], workers: list[psutil.Process], traced: int) -> _Usage:
        everything = psutil.cpu_times()
        idle = everything.idle + everything.iowait
        return cls(
            sum(_seconds(api) for api in apis),
            sum(_seconds(p) for w in workers for p in (w, *w.children(recursive=True))),
            _seconds(psutil.Process()),
            sum(everything) - everything.guest - everything.guest_nice - idle,
            traced,
            time.monotonic(),
        )


def _seconds(process: psutil.Process) -> float:
    """Of the process and of the children that it has waited for."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _table(samples: list[Sample]) -> str:
    by_call: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_call[sample.call.name].append(sample)
    rows = [_row(name, found) for name, found in sorted(by_call.items())]
    return "\n".join([_HEADER, *rows, _row("**all**", samples)])


def _row(name: str, samples: list[Sample]) -> str:
    times = sorted(1000 * sample.seconds for sample in samples)
    wrong = sum(not sample.is_right for sample in samples)
    cells = [_quantile(times, share) for share in (0.5, 0.9, 0.99, 1)]
    return f"| {name} | {len(samples)} | {wrong} | " + " | ".join(f"{c:.1f}" for c in cells) + " |"


def _quantile(ordered: list[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _story(rate: Rate, samples: list[Sample], before: _Usage, after: _Usage) -> str:
    seconds, cores = after.at_s - before.at_s, os.cpu_count() or 1
    late = sorted(1000 * sample.late_s for sample in samples)
    api = after.api_s - before.api_s
    return (
        f"{len(samples) / rate.seconds:.1f} requests/s were due and sent over "
        f"{rate.seconds:.0f} s, from "
        f"{_quantile(late, 0.5):.1f} ms (median) to {_quantile(late, 0.99):.1f} ms (p99) late, "
        f"which counts as the service's. {rate.api_processes} API process(es) took "
        f"{1000 * api / len(samples):.2f} ms of processor time a request, {api / seconds:.0%} of a "
        f"core; the {rate.workers} workers {(after.workers_s - before.workers_s) / seconds:.0%}, "
        f"and traced {after.traced - before.traced} simulations meanwhile; the generator "
        f"{(after.generator_s - before.generator_s) / seconds:.0%}. All {cores} cores were busy "
        f"{(after.busy_s - before.busy_s) / seconds / cores:.0%} of the time. "
        f"{rate.stored} simulations were stored; API keys were "
        f"{'needed' if rate.auth else 'not needed'}; mean latency "
        f"{1000 * statistics.mean(sample.seconds for sample in samples):.1f} ms."
    )
