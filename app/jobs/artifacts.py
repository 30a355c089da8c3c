"""Files that jobs leave, kept compressed in the database."""

from __future__ import annotations

import asyncio
import zlib

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.kit import compression
from app.models import Artifact

TAPE = "tape"
TIMELINE = "timeline"


async def compress(artifacts: dict[str, bytes]) -> dict[str, tuple[int, bytes]]:
    """Name -> size and compressed content. Off the event loop, and before a transaction begins."""

    def work() -> dict[str, tuple[int, bytes]]:
        return {name: (len(data), compression.compress(data)) for name, data in artifacts.items()}

    return await asyncio.to_thread(work)


async def save(
    session: AsyncSession, job_id: str, compressed: dict[str, tuple[int, bytes]]
) -> None:
    """Keep the artifacts of a job."""
    for name, (size, content) in compressed.items():
        await session.merge(Artifact(job_id=job_id, name=name, size_bytes=size, content=content))


async def load(session: AsyncSession, job_id: str, name: str) -> bytes | None:
    """The file's bytes, or None where the job left no such file."""
    artifact = await session.get(Artifact, (job_id, name))
    if artifact is None:
        return None
    return await asyncio.to_thread(zlib.decompress, artifact.content)


async def discard(session: AsyncSession, job_id: str) -> None:
    """Delete all artifacts of a job."""
    await session.execute(delete(Artifact).where(Artifact.job_id == job_id))
