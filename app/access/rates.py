"""How often a key may call; each replica counts for itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter


@dataclass(frozen=True)
class Standing:
    """How a caller stands after a call: `remaining` calls, of which more come in `reset_s`."""

    rate: RateLimitItem
    within: bool
    remaining: int
    reset_s: int

    def headers(self) -> dict[str, str]:
        """As clients read them (IETF, draft-ietf-httpapi-ratelimit-headers)."""
        policy = f'"calls";q={self.rate.amount};w={self.rate.get_expiry()}'
        now = f'"calls";r={self.remaining};t={self.reset_s}'
        headers = {"RateLimit-Policy": policy, "RateLimit": now}
        return headers if self.within else {**headers, "Retry-After": str(self.reset_s)}


class Rates:
    """Counts calls in a sliding window.

    By two counters, this window's and a share of the last one's: a log of every call would be
    walked with every call.
    """

    def __init__(self, default: RateLimitItem | None) -> None:
        self._default = default
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, who: str, own: RateLimitItem | None = None) -> Standing | None:
        """Count a call; None where none is counted.

        Args:
            who: a key's id, or an address.
            own: rate of this caller; None: the service's.
        """
        rate = own or self._default
        if rate is None:
            return None
        within = await self._limiter.hit(rate, who)
        window = await self._limiter.get_window_stats(rate, who)
        reset_s = max(1, round(window.reset_time - time.time()))
        return Standing(rate, within, window.remaining, reset_s)
