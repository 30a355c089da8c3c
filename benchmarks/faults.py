"""A soak: many jobs, many faults, and then a count of what became of each job.

    python -m benchmarks.faults --jobs 1000 --kills 200 --seed 1 [--sqlite] [--write FILE]

Starts a PostgreSQL server of its own (or a SQLite file), two API replicas and four workers, has
clients submit jobs as fast as the faults come, and ends with status 1 if a job was lost, doubled
or answered wrongly. It counts states, not seconds: a busy machine only makes it longer.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2

from app.database import migrate
from app.settings import Settings
from benchmarks.faults_audit import Audit, audit
from benchmarks.faults_chaos import REPLICAS, WORKERS, Chaos
from benchmarks.faults_job import LONGEST_S, request
from tests.app import postgres
from tests.faults.fleet import FINAL

CLIENTS = 8
_PATIENCE_S = 300.0
_AT_ONCE = 3


class Clients:
    """Submit each job until a replica takes it: with a key, over errors of transport and 5xx."""

    def __init__(self, chaos: Chaos, seed: int) -> None:
        self.jobs: dict[int, str] = {}
        self.repeats = 0
        self._chaos = chaos
        self._seed = seed
        self._lock = threading.Lock()

    def submit(self, number: int) -> str:
        """The id of the job, as the service gives it."""
        while True:
            key = {"Idempotency-Key": f"soak-{number}", "Prefer": "wait=1"}
            try:
                body = request(number, self._seed)
                url = f"{self._chaos.url()}/v1/simulations"
                response = httpx2.post(url, json=body, headers=key, timeout=10)
            except httpx2.TransportError:
                pass
            else:
                if response.status_code < 500:
                    response.raise_for_status()
                    job_id = str(response.json()["id"])
                    with self._lock:
                        self.jobs.setdefault(number, job_id)
                    return job_id
            with self._lock:
                self.repeats += 1
            time.sleep(random.uniform(0.1, 0.5))

    def unfinished(self) -> set[str]:
        """Ids of the jobs that have not ended yet."""
        waiting = set()
        for status in ("queued", "running"):
            cursor: str | None = ""
            while cursor is not None:
                query = {"status": status, "limit": "100"} | ({"cursor": cursor} if cursor else {})
                page = self._get("/v1/simulations", query)
                waiting |= {job["id"] for job in page["items"] if job["status"] not in FINAL}
                cursor = page["next_cursor"]
        return waiting

    def _get(self, path: str, query: dict[str, str]) -> Any:
        while True:
            try:
                response = httpx2.get(f"{self._chaos.url()}{path}", params=query, timeout=10)
                if response.status_code == 200:
                    return response.json()
            except httpx2.TransportError:
                pass
            time.sleep(0.2)


def soak(
    settings: Settings, folder: Path, given: argparse.Namespace, cluster: postgres.Cluster | None
) -> tuple[Chaos, Clients, Audit]:
    """The chaos, its clients, and what was found in the end."""
    with Chaos(settings, folder, given.seed, cluster) as chaos:
        clients = Clients(chaos, given.seed)
        until = time.monotonic() + 60 * given.minutes
        with ThreadPoolExecutor(CLIENTS) as threads:
            submitted = []
            for kill in range(given.kills):
                first, last = (given.jobs * each // given.kills for each in (kill, kill + 1))
                submitted += [threads.submit(clients.submit, each) for each in range(first, last)]
                before = sum(chaos.done.values())
                while sum(chaos.done.values()) == before:
                    chaos.strike()
                if time.monotonic() > until:
                    break
                if kill % _AT_ONCE == 0:
                    # Faults come in bursts, between which the service may catch its breath.
                    while len(clients.unfinished()) > CLIENTS:
                        chaos.mend()
                        time.sleep(0.2)
                if kill % 20 == 19:
                    print(f"{kill + 1} faults, {len(clients.jobs)} jobs", flush=True)
            for each in submitted:
                each.result()
        chaos.wake()
        deadline = time.monotonic() + _PATIENCE_S
        while clients.unfinished() and time.monotonic() < deadline:
            chaos.mend()
            time.sleep(0.5)
        found = audit(settings, clients.jobs, given.seed)
        with ThreadPoolExecutor(CLIENTS) as threads:
            again = dict(enumerate(threads.map(clients.submit, range(len(clients.jobs)))))
        if again != clients.jobs:
            found.violations.append("a key that is sent again finds another job")
        return chaos, clients, found


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60, help="no further faults after these")
    parser.add_argument("--sqlite", action="store_true", help="one file instead of PostgreSQL")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the processes' logs")
    given = parser.parse_args()
    started = time.monotonic()
    with ExitStack() as stack:
        folder = given.logs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        cluster = None
        if not given.sqlite:
            binaries = postgres.binaries()
            if binaries is None:
                sys.exit("no PostgreSQL binaries: install the package `postgresql`, or --sqlite")
            cluster = stack.enter_context(postgres.cluster(binaries))
        settings = Settings(
            data_dir=folder / "data",
            database_url=None if cluster is None else cluster.url,
            heartbeat_s=0.5,
            worker_stale_s=4,
            queue_poll_s=0.05,
            simulations_at_once=2,
        )
        migrate(settings)
        chaos, clients, found = soak(settings, folder, given, cluster)
    text = report(given, chaos, clients, found, time.monotonic() - started)
    print(text)
    if given.write is not None:
        given.write.write_text(text, encoding="utf-8")
    sys.exit(1 if found.violations else 0)


def report(
    given: argparse.Namespace, chaos: Chaos, clients: Clients, found: Audit, seconds: float
) -> str:
    """The document."""
    database = "SQLite" if given.sqlite else "PostgreSQL"
    flag = " --sqlite" if given.sqlite else ""
    command = f"python -m benchmarks.faults --jobs {given.jobs} --kills {given.kills}"
    faults = sum(chaos.done.values())
    short = f" The time of --minutes {given.minutes:g} was up first." * (faults < given.kills)
    tables = [
        _table("fault", chaos.done),
        _table("how jobs ended", found.ends),
        _table("attempts of a job", {str(key): n for key, n in sorted(found.attempts.items())}),
        _table("how attempts ended", found.outcomes),
    ]
    kept = "none" if not found.violations else "\n".join(f"- {each}" for each in found.violations)
    return f"""# Faults: what became of {len(clients.jobs)} jobs

`{command} --seed {given.seed}{flag}`

{database}, {REPLICAS} API replicas, {WORKERS} workers of two jobs at a time, {CLIENTS} clients;
a job is a child process that takes up to {LONGEST_S} s, without torch. {_versions()}.
Took {seconds / 60:.0f} min on a busy machine: this counts states and not seconds.

{faults} faults; {clients.repeats} requests were sent again after a 5xx or no answer.{short}

{(chr(10) * 2).join(tables)}

**Jobs lost, doubled or answered wrongly: {kept}.** Checked of each job: one row, in a final state;
exactly one event of a final state; if it has succeeded, exactly one finished attempt and the
result that this job had to give; if not, the recorded signal of its child or as many lost attempts
as `HEADROOM_MAX_ATTEMPTS` allows; no attempt left open. Every key, sent again at the end, finds its
job.
"""


def _versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("dbos", "sqlalchemy", "psycopg"))
    machine = f"{os.cpu_count()} cores of {platform.machine()}"
    return f"Python {platform.python_version()}, {packages}; {machine}"


def _table(title: str, counts: Mapping[str, int]) -> str:
    rows = [f"| {name} | {count} |" for name, count in counts.items()]
    return "\n".join([f"| {title} | number |", "|---|---:|", *rows])


if __name__ == "__main__":
    main()
