"""The `Prefer` header (RFC 7240): how long a POST waits for what it started."""

from __future__ import annotations

import re

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?", re.ASCII)


def seconds_to_wait(prefer: str | None, default_s: float, most_s: float) -> float:
    """0 for `respond-async`, N for `wait=N` but at most `most_s`; other preferences are ignored.

    `respond-async, wait=5` waits 5 seconds: RFC 7240, section 4.3.
    """
    wants_async = False
    for preference in (prefer or "").lower().split(","):
        if match := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            return min(float(match[1]), most_s)
        wants_async = wants_async or preference.strip() == "respond-async"
    return 0.0 if wants_async else min(default_s, most_s)
