"""The table of numbers that only grow."""

from __future__ import annotations

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Tally(Base):
    """How often something happened since the table exists, kept when what happened is deleted.

    Prometheus asks of a counter that it never falls; rows of jobs are deleted, processes restart
    and there are several of them. So it is counted here, in the transaction in which it happens.
    """

    __tablename__ = "tally"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    """A `app.telemetry.tallies.Name`."""
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    """Of job."""
    outcome: Mapped[str] = mapped_column(String(100), primary_key=True, default="")
    """Status, type of problem, or outcome of an attempt; empty for durations."""
    le: Mapped[float] = mapped_column(primary_key=True, default=0.0)
    """Of durations: seconds that those counted here are not over; 0 for what has no duration."""
    count: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(default=0.0)
    """Sum of the durations."""
