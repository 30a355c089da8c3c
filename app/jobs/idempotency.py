"""Idempotency keys: a POST sent twice makes one resource."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.caller import Caller
from app.database import insert_or_ignore, row_count
from app.errors import IdempotencyKeyReused
from app.jobs.lifecycle import Job
from app.kit.columns import utc_now
from app.models import IdempotencyKey, Sweep

Made = TypeVar("Made", bound=Job | Sweep)


class LostRace(Exception):
    """Another request with the same key was committed meanwhile: roll back and look again."""


def body_hash(body: BaseModel) -> str:
    """Tells bodies apart, whatever their order and white space."""
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


async def find(
    session: AsyncSession, caller: Caller, table: type[Made], key: str, body: BaseModel
) -> Made | None:
    """The job that the owner's key made before; a key whose job they no longer see is freed.

    Raises:
        IdempotencyKeyReused: it was given with another body.
    """
    known = await session.get(IdempotencyKey, (_scope(caller, table.kind), key))
    if known is None:
        return None
    if known.body_hash != body_hash(body):
        raise IdempotencyKeyReused(
            "the same key came with another body before; choose a new key for a new request"
        )
    job = await session.get(table, known.resource_id)
    if job is not None and caller.may_see(job):
        return job
    await session.delete(known)
    await session.flush()
    return None


async def remember(
    session: AsyncSession, caller: Caller, job: Job | Sweep, key: str, body: BaseModel
) -> None:
    """Bind the owner's key to the job in the transaction that makes it.

    Raises:
        LostRace: the key is bound already.
    """
    values = {
        "scope": _scope(caller, job.kind),
        "key": key,
        "body_hash": body_hash(body),
        "resource_id": job.id,
        "created_at": utc_now(),
    }
    if not await row_count(session, insert_or_ignore(session, IdempotencyKey, values)):
        raise LostRace


async def forget(session: AsyncSession, resource_id: str) -> None:
    """Free the keys of a resource that is deleted."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.resource_id == resource_id))


def _scope(caller: Caller, kind: str) -> str:
    """Keys are told apart by kind of job and by owner."""
    return f"{kind}s" if caller.owner is None else f"{kind}s of {caller.owner}"
