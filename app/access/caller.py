"""Who asks, and what of the store they may see and change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import ColumnElement, or_, true

from app.access.keys import Identity, Scope
from app.errors import Forbidden
from app.models.base import OwnedColumns
from app.settings import Settings


class Owned(Protocol):
    """A row, or the part of one that says whose it is."""

    @property
    def owner(self) -> str | None:
        """Who may change it; None: nobody in particular."""

    @property
    def shared(self) -> bool:
        """Whether everybody sees it."""


@dataclass(frozen=True)
class Caller:
    """Whoever makes a call, or whom a job is done for.

    A row is seen by its owner, by everybody where it is shared or has no owner, and by callers who
    see all. It is changed by its owner and by callers who see all.

    Attributes:
        owner: of what is stored for this caller; None without a key.
        sees_all: with a key of scope admin, and wherever calls need no key.
        key_id: of the key that was given.
        max_pending: most unfinished jobs of the owner; None: any number.
    """

    owner: str | None = None
    sees_all: bool = False
    key_id: str | None = None
    max_pending: int | None = None

    def visible(self, table: type[OwnedColumns]) -> ColumnElement[bool]:
        """The condition on rows of the table that this caller sees."""
        if self.sees_all:
            return true()
        for_all = or_(table.shared, table.owner.is_(None))
        return for_all if self.owner is None else or_(for_all, table.owner == self.owner)

    def may_see(self, row: Owned) -> bool:
        """Whether the row is among those that are visible."""
        return self.sees_all or row.shared or row.owner is None or row.owner == self.owner

    def may_change(self, row: Owned) -> bool:
        """Whether the row is theirs to cancel, delete and share."""
        return self.sees_all or (self.owner is not None and row.owner == self.owner)

    def require_own(self, row: Owned, name: str) -> None:
        """Raise unless the row, which the caller sees under that name, is theirs to change.

        Raises:
            Forbidden: it is another's.
        """
        if not self.may_change(row):
            whose = "has no owner" if row.owner is None else f"is {row.owner!r}'s"
            raise Forbidden(
                f"{name} {whose}: only its owner's keys, or one of scope admin, may change it"
            )


def caller_of(identity: Identity | None, settings: Settings) -> Caller:
    """The caller that a key stands for, or nobody in particular."""
    # Anything but "on" lets everybody in, and whoever sends no key must not see more than who does.
    open_to_all = settings.auth != "on"
    if identity is None:
        return Caller(sees_all=open_to_all)
    most = identity.max_pending
    return Caller(
        owner=identity.owner,
        sees_all=open_to_all or Scope.ADMIN in identity.scopes,
        key_id=identity.key_id,
        max_pending=settings.max_pending_per_owner if most is None else most,
    )
