"""Pages of a long list of stored simulations, filtered and not, through a real server."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass
from typing import Any

import httpx2
from sqlalchemy import Connection, event

from app.access.caller import Caller
from app.database import Database
from app.jobs import repository
from app.kit.pages import encode_cursor
from app.models import Simulation
from app.settings import Settings
from app.simulations.schemas import SimulationQuery
from benchmarks.load.mix import store_patterns
from benchmarks.load.rows import fill
from benchmarks.load.service import running

#: Filters and how they are called. Those that find little or nothing end no page early.
QUERIES: dict[str, dict[str, Any]] = {
    "no filter": {},
    "`status`, common": {"status": "succeeded"},
    "`status`, 4 %": {"status": "failed"},
    "two of `status`, 6 %": {"status": ["failed", "cancelled"]},
    "two of `status`, nearly all": {"status": ["succeeded", "failed"]},
    "`status`, unfinished": {"status": ["queued", "running"]},
    "`model_type`": {"model_type": "gpt2"},
    "`model_type` that none has": {"model_type": "mamba"},
    "`task`": {"task": "fill-mask"},
    "`mode`, 5 %": {"mode": "generation"},
    "`device`, 5 %": {"device": "rtx-4090"},
    "`model_type`, `status`": {"model_type": "llama", "status": "failed"},
    "`device`, `mode`, `status`": {"device": "rtx-4090", "mode": "generation", "status": "failed"},
    "all five": {
        "status": "succeeded",
        "model_type": "gpt2",
        "task": "text-generation",
        "mode": "train",
        "device": "cpu",
    },
    "two common ones that exclude each other": {"model_type": "gpt2", "task": "fill-mask"},
}
_HEADER = (
    "| filter | items | first page: median ms | p99 ms | further back: median ms | p99 ms "
    "| index |\n"
    "|---|---:|---:|---:|---:|---:|---|"
)


@dataclass(frozen=True)
class Plan:
    """How the database finds a page."""

    index: str
    scans_the_table: bool


def measure(kind: str, stored: int, repeats: int, limit: int = 20) -> str:
    """Markdown: a table of filters for one kind of database.

    Raises:
        SystemExit: a page is found by reading the whole table.
    """
    with running(kind, auth=True) as service:
        api = service.start_api()
        worker = service.start_worker("patterns")
        with service.client(api) as client:
            store_patterns(client)
            service.stop(worker)
            ids = fill(service.settings, stored).ids
            rows = [
                _row(client, service.settings, name, query, ids, repeats, limit)
                for name, query in QUERIES.items()
            ]
    return "\n".join([_HEADER, *rows])


def _row(
    client: httpx2.Client,
    settings: Settings,
    name: str,
    query: dict[str, Any],
    ids: list[str],
    repeats: int,
    limit: int,
) -> str:
    chance = random.Random(name)
    first, back, items = [], [], 0
    for _ in range(repeats):
        seconds, items = _timed(client, {**query, "limit": limit})
        first.append(seconds)
        cursor = encode_cursor(chance.choice(ids))
        back.append(_timed(client, {**query, "limit": limit, "cursor": cursor})[0])
    plan = asyncio.run(plan_of(settings, {**query, "cursor": encode_cursor(ids[len(ids) // 2])}))
    if plan.scans_the_table:
        raise SystemExit(f"{name}: the database reads the whole table")
    cells = [f"{1000 * f(times):.1f}" for times in (first, back) for f in (statistics.median, _p99)]
    return f"| {name} | {items} | " + " | ".join(cells) + f" | `{plan.index}` |"


def _timed(client: httpx2.Client, query: dict[str, Any]) -> tuple[float, int]:
    began = time.perf_counter()
    answer = client.get("/v1/simulations", params=query)
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    return seconds, len(answer.json()["items"])


def _p99(times: list[float]) -> float:
    return sorted(times)[max(0, -(-len(times) * 99 // 100) - 1)]


async def plan_of(settings: Settings, query: dict[str, Any]) -> Plan:
    """The plan of the statement that a page is found by, as the service sends it."""
    database = Database(settings.url)
    if isinstance(query.get("status"), str):
        query = {**query, "status": [query["status"]]}
    sent: list[tuple[str, Any]] = []

    def remember(_: Connection, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", remember)
    async with database.read() as session:
        asked = SimulationQuery.model_validate(query)
        await repository.find_page(session, Simulation, asked, Caller(None, sees_all=True))
        statement, parameters = next(each for each in sent if "FROM simulation" in each[0])
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        connection = await session.connection()
        rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
        lines = [str(row[-1]) for row in rows]
    await database.close()
    return _sqlite_plan(lines) if is_sqlite else _postgresql_plan(lines)


def _postgresql_plan(lines: list[str]) -> Plan:
    # A sort of the few rows that an index found is none of the table.
    used = [line.split(" using ")[1].split()[0] for line in lines if " using " in line]
    used += [line.split(" on ")[1].split()[0] for line in lines if "Bitmap Index Scan" in line]
    return Plan(" + ".join(used), any("Seq Scan" in line for line in lines))


def _sqlite_plan(lines: list[str]) -> Plan:
    used = [line.split(" INDEX ")[1].split()[0] for line in lines if " INDEX " in line]
    # What queries within the query found is scanned as well.
    whole = any(line.startswith("SCAN simulation") and " USING " not in line for line in lines)
    return Plan(" + ".join(used), whole)
