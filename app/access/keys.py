"""API keys: how they look, what they permit, and what is stored of them."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from limits import RateLimitItem

_KEY = re.compile(r"hr_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key permits."""

    READ = "read"
    """Every GET."""
    WRITE = "write"
    """To ask for something, cancel and delete; and to read."""
    WORKER = "worker"
    """To take jobs and report their results; nothing else."""
    ADMIN = "admin"
    """Everything."""


_IMPLIED: dict[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.WORKER: frozenset({Scope.WORKER}),
    Scope.ADMIN: frozenset(Scope),
}


def permits(scopes: frozenset[Scope], needed: Scope) -> bool:
    """Whether one of the scopes includes what is needed."""
    return any(needed in _IMPLIED[scope] for scope in scopes)


@dataclass(frozen=True)
class NewKey:
    """A key that has just been made. `text` is shown once and stored nowhere."""

    text: str
    prefix: str
    digest: str


def make_key() -> NewKey:
    """A key of 256 random bits, as `hr_<prefix>_<secret>`; the prefix names it in lists."""
    text = f"hr_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    return NewKey(text, prefix_of(text) or "", digest(text))


def prefix_of(text: str) -> str | None:
    """The part of a key that may be shown; None where the text is no key."""
    found = _KEY.fullmatch(text)
    return found.group(1) if found else None


def digest(text: str) -> str:
    """SHA-256 (hex): with 256 random bits in it there is nothing that a slow hash would protect."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Identity:
    """Whoever a valid key stands for."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None
    owner: str
    max_pending: int | None = None
    rate: RateLimitItem | None = None
