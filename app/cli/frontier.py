"""Points of the frontier as a plan finds them, on standard error."""

from __future__ import annotations

from typing import Any

from app.cli.console import err
from app.cli.render_plan import point
from app.cli.server import OnProgress, Resource


def announced(on_progress: OnProgress) -> OnProgress:
    """The same listener, which also prints each new point once, where a person watches."""
    seen: set[int] = set()

    def listen(resource: Resource) -> None:
        on_progress(resource)
        reported: Any = resource.get("progress")
        points = reported.get("frontier") if isinstance(reported, dict) else None
        for each in points or []:
            if each["peak_bytes"] not in seen and err.is_terminal:
                err.print(point(each), style="dim")
            seen.add(each["peak_bytes"])

    return listen
