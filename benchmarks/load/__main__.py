"""What the service stands: a rate of requests while workers trace, a full queue, long lists.

    python -m benchmarks.load [rate] [drain] [lists] [--write]

Needs PostgreSQL's binaries (Debian: `postgresql`). All three parts take about ten minutes, most of
them for writing 100,000 simulations twice; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.load import drain, lists, rate
from tests.app import postgres

PARTS = ("rate", "drain", "lists")
REPORT = Path(__file__).resolve().parent.parent / "load.md"
_PACKAGES = ("fastapi", "uvicorn", "uvloop", "sqlalchemy", "psycopg", "dbos", "torch")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS), help="default: all")
    parser.add_argument("--write", action="store_true", help=f"write benchmarks/{REPORT.name}")
    usual = rate.Rate()
    for name, kind in (
        ("reads-per-s", float),
        ("cached-per-s", float),
        ("seconds", float),
        ("api-processes", int),
        ("workers", int),
    ):
        default = getattr(usual, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"default {default}")
    parser.add_argument("--runs", type=int, default=1_000, help="queued runs to drain")
    parser.add_argument("--stored", type=int, default=100_000, help="simulations in the lists")
    parser.add_argument("--repeats", type=int, default=100, help="of each page")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return given


def _rate(given: argparse.Namespace) -> str:
    chosen = rate.Rate(
        reads_per_s=given.reads_per_s,
        cached_per_s=given.cached_per_s,
        seconds=given.seconds,
        api_processes=given.api_processes,
        workers=given.workers,
    )
    return (
        f"## {chosen.reads_per_s:g} reads and {chosen.cached_per_s:g} cached simulations a second "
        f"while {chosen.workers} workers trace\n\n"
        "Open loop: arrivals are a Poisson process, and a latency counts from the moment that a "
        "request was due ([benchmarks/load/generator.py](load/generator.py)).\n\n"
        f"With API keys:\n\n{rate.measure(chosen)}\n\n"
        f"Without:\n\n{rate.measure(replace(chosen, auth=False))}\n"
    )


def _drain(given: argparse.Namespace) -> str:
    return f"## A queue that is drained\n\n{drain.measure(given.runs, workers=4)}\n"


def _lists(given: argparse.Namespace) -> str:
    texts = [f"## Pages of 20 of {given.stored} simulations\n"]
    for kind, name in (("postgresql", "PostgreSQL"), ("sqlite", "SQLite")):
        table = lists.measure(kind, given.stored, given.repeats)
        texts.append(f"{name}; each page asked for {given.repeats} times:\n\n{table}\n")
    return "\n".join(texts)


def _machine() -> str:
    found = postgres.binaries()
    assert found is not None
    server = subprocess.run([found / "postgres", "--version"], capture_output=True, check=True)
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{os.cpu_count()} cores of a {platform.machine()} machine with "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, which service, database, workers and "
        f"generator share; load average before it {os.getloadavg()[1]:.2f}. "
        f"Python {platform.python_version()}, {server.stdout.decode().strip()}, {packages}."
    )


def main() -> None:
    """Measure the parts that were asked for; print them, and write them where asked."""
    given = _options()
    # So that what was started ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    measured = {"rate": _rate, "drain": _drain, "lists": _lists}
    options = " ".join(given.parts)
    texts = [
        "# The service under load\n\n"
        f"Made by `python -m benchmarks.load {options}{' ' if options else ''}--write`.\n"
        f"{_machine()}\n"
    ]
    print(texts[0])
    for part in given.parts or PARTS:
        texts.append(measured[part](given))
        print(texts[-1], flush=True)
    if given.write:
        REPORT.write_text("\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
