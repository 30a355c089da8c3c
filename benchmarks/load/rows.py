"""Many stored simulations, written in bulk. What they hold is what real ones held:
the service simulated and ran a few models, and their rows are the patterns of all others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, inspect, select, text

from app.database import Database
from app.kit.columns import utc_now
from app.models import JobStatus, Simulation
from app.settings import Settings

_BATCH = 1_000
_DAY_S = 86_400
#: Requests whose answers are the patterns; a wide and a narrow model, and several tasks.
PATTERNS: tuple[dict[str, Any], ...] = (
    {"task": "text-generation", "config": {"model_type": "gpt2", "n_layer": 6}},
    {"task": "fill-mask", "config": {"model_type": "bert", "num_hidden_layers": 4}},
    {
        "task": "text-generation",
        "config": {"model_type": "llama", "num_hidden_layers": 4, "vocab_size": 32_000},
    },
    {"task": "text2text-generation", "config": {"model_type": "t5", "num_layers": 3}},
)
#: How stored simulations ended, in shares; a queued one is none of these.
_ENDS = {JobStatus.SUCCEEDED: 0.94, JobStatus.FAILED: 0.04, JobStatus.CANCELLED: 0.02}
_MODES = {"train": 0.7, "inference": 0.25, "generation": 0.05}
_DEVICES = {"cpu": 0.8, "h100-sxm5-80gb": 0.15, "rtx-4090": 0.05}


def body(model: dict[str, Any], **workload: Any) -> dict[str, Any]:
    """A request for a simulation."""
    return {
        "model": {"source": "transformers", **model},
        "workload": {"mode": "train", "batch_size": 2, "sequence_length": 64, **workload},
    }


@dataclass(frozen=True)
class Filled:
    """What was written: ids, oldest first."""

    ids: list[str]


def fill(settings: Settings, count: int, seed: int = 0) -> Filled:
    """Add simulations over the last year until the table has `count`, and let the database look
    at them, as it does by itself in the course of a day."""
    return asyncio.run(_fill(settings, count, seed))


async def _fill(settings: Settings, count: int, seed: int) -> Filled:
    database = Database(settings.url)
    async with database.read() as session:
        patterns = list(await session.scalars(select(Simulation)))
        missing = count - (await session.scalar(select(func.count(Simulation.id))) or 0)
    columns = [column.key for column in inspect(Simulation).mapper.column_attrs]
    ids: list[str] = []
    for batch in _batches(patterns, columns, missing, random.Random(seed)):
        async with database.write() as session:
            await session.execute(insert(Simulation), batch)
        ids += [row["id"] for row in batch]
    async with database.engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        is_sqlite = connection.dialect.name == "sqlite"
        await connection.execute(text("ANALYZE" if is_sqlite else "VACUUM ANALYZE simulation"))
    await database.close()
    return Filled(ids)


def _batches(
    patterns: list[Simulation], columns: list[str], count: int, chance: random.Random
) -> Iterator[list[dict[str, Any]]]:
    now, batch = utc_now(), []
    for number in range(count):
        age_s = (count - number) / count * 365 * _DAY_S + 3600
        row = _row(chance.choice(patterns), columns, chance)
        at = now - timedelta(seconds=age_s)
        row["id"] = f"sim_{int(at.timestamp() * 1000):012x}{chance.getrandbits(64):016x}"
        row["created_at"] = row["started_at"] = at
        row["finished_at"] = at + timedelta(seconds=2)
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _row(pattern: Simulation, columns: list[str], chance: random.Random) -> dict[str, Any]:
    row = {name: getattr(pattern, name) for name in columns}
    row["mode"], row["device"] = _choice(_MODES, chance), _choice(_DEVICES, chance)
    row["status"] = _choice(_ENDS, chance)
    sizes = {"batch_size": chance.randint(1, 512), "sequence_length": chance.randint(8, 2048)}
    workload = {**row["request"]["workload"], **sizes}
    row["request"] = {**row["request"], "workload": workload, "device": row["device"]}
    row["version"] = 3  # as one that was claimed and finished: all have the same entity tag
    row["content_hash"] = f"{chance.getrandbits(256):064x}"
    row["reusable_hash"] = row["content_hash"]
    if row["status"] != JobStatus.SUCCEEDED:
        row["reusable_hash"] = row["prediction"] = None
    return row


def _choice(shares: dict[Any, float], chance: random.Random) -> Any:
    return chance.choices(list(shares), list(shares.values()))[0]
