"""Answers as they were sent, to be sent again while the job that they are of is the same."""

from __future__ import annotations

from typing import Protocol

from cachetools import LRUCache


class Versioned(Protocol):
    """A state of a job: every change of its row counts the version up."""

    @property
    def id(self) -> str:
        """Of the job."""

    @property
    def version(self) -> int:
        """Of its row."""


class Rendered:
    """Keeps what was asked for last. A form tells apart what is made of one job."""

    def __init__(self, most_bytes: int) -> None:
        self._kept: LRUCache[tuple[str, int, str], bytes] = LRUCache(most_bytes, getsizeof=len)

    def get(self, job: Versioned, form: str) -> bytes | None:
        """What was kept of this version of the job in this form."""
        return self._kept.get((job.id, job.version, form))

    def keep(self, job: Versioned, form: str, content: bytes) -> None:
        """Keep it, unless it is larger than all that may be kept."""
        if len(content) <= self._kept.maxsize:
            self._kept[job.id, job.version, form] = content
