"""Idempotency keys: a POST sent twice makes one resource."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import insert_or_ignore, row_count
from app.errors import IdempotencyKeyReused
from app.kit.columns import utc_now
from app.models import IdempotencyKey


class LostRace(Exception):
    """Another request with the same key was committed meanwhile: roll back and look again."""


def body_hash(body: BaseModel) -> str:
    """Tells bodies apart, whatever their order and white space."""
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


async def find(session: AsyncSession, scope: str, key: str, body: BaseModel) -> str | None:
    """The id of the resource that the key made before.

    Raises:
        IdempotencyKeyReused: it was given with another body.
    """
    known = await session.get(IdempotencyKey, (scope, key))
    if known is None:
        return None
    if known.body_hash != body_hash(body):
        raise IdempotencyKeyReused(
            "the same key came with another body before; choose a new key for a new request"
        )
    return known.resource_id


async def remember(
    session: AsyncSession, scope: str, key: str, body: BaseModel, resource_id: str
) -> None:
    """Bind the key to the resource in the transaction that makes it.

    Raises:
        LostRace: the key is bound already.
    """
    values = {
        "scope": scope,
        "key": key,
        "body_hash": body_hash(body),
        "resource_id": resource_id,
        "created_at": utc_now(),
    }
    if not await row_count(session, insert_or_ignore(session, IdempotencyKey, values)):
        raise LostRace


async def forget(session: AsyncSession, resource_id: str) -> None:
    """Free the keys of a resource that is deleted."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.resource_id == resource_id))
