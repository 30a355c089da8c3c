"""Keys in the database."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from limits import parse as parse_rate
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.keys import Identity, NewKey, Scope, digest, prefix_of
from app.kit.columns import utc_now
from app.kit.ids import new_id
from app.models import ApiKey

_USE_NOTED_EVERY = timedelta(minutes=1)


async def add_key(
    session: AsyncSession,
    key: NewKey,
    name: str,
    scopes: frozenset[Scope],
    expires_at: datetime | None,
    owner: str | None = None,
    max_pending: int | None = None,
    rate: str | None = None,
) -> ApiKey:
    """Store what is kept of a new key.

    Args:
        owner: of what is stored with it; default: its name.
        max_pending: most unfinished jobs of the owner; default: as the settings say.
        rate: calls within a time, as `limits` parses it; default: as the settings say.
    """
    row = ApiKey(
        id=new_id("key"),
        name=name,
        prefix=key.prefix,
        digest=key.digest,
        scopes=sorted(scopes),
        owner=owner or name,
        max_pending=max_pending,
        rate=rate,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    return row


async def all_keys(session: AsyncSession) -> list[ApiKey]:
    """Every key that was made, newest first."""
    return list(await session.scalars(select(ApiKey).order_by(ApiKey.id.desc())))


async def revoke(session: AsyncSession, prefix: str) -> ApiKey | None:
    """Make a key invalid for good; None where there is none of that prefix."""
    row = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
    if row is not None and row.revoked_at is None:
        row.revoked_at = utc_now()
    return row


async def identify(session: AsyncSession, text: str) -> Identity | None:
    """Whom a key stands for; None for one that is unknown, revoked or expired."""
    prefix = prefix_of(text)
    if prefix is None:
        return None
    row = await session.scalar(select(ApiKey).where(ApiKey.prefix == prefix))
    if row is None or not hmac.compare_digest(row.digest, digest(text)):
        return None
    if not _is_valid(row):
        return None
    return Identity(
        row.id,
        row.name,
        # A scope that this version does not know permits nothing.
        frozenset(scope for scope in Scope if scope in row.scopes),
        row.expires_at,
        owner=row.owner or row.name,
        max_pending=row.max_pending,
        rate=None if row.rate is None else parse_rate(row.rate),
    )


async def is_valid(session: AsyncSession, key_id: str) -> bool:
    """Whether a key that was accepted still would be."""
    row = await session.get(ApiKey, key_id)
    return row is not None and _is_valid(row)


def _is_valid(row: ApiKey) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > utc_now())


async def note_use(session: AsyncSession, key_id: str) -> None:
    """Remember that a key was used, to the minute."""
    now = utc_now()
    unnoted = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - _USE_NOTED_EVERY)
    await session.execute(
        update(ApiKey).where(ApiKey.id == key_id, unnoted).values(last_used_at=now)
    )
