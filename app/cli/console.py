"""Where commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(data: Any) -> None:
    """JSON on standard output, as it is: no colours, no wrapping."""
    print(json.dumps(data, indent=2))


def say_stored(resource: dict[str, Any], server: str, page: str | None = None) -> None:
    """Say on standard error under which id a service keeps it, and where the dashboard shows it;
    nothing of what is not stored. `page` is the first part of that address.
    """
    identifier = resource.get("id")
    if identifier:
        address = f": {server.rstrip('/')}/{page}/{identifier}" if page else ""
        err.print(f"Stored as {identifier}{address}", style="dim", soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A spinner on standard error while something lasts; nothing where that is no terminal."""
    if not err.is_terminal:
        yield lambda resource: None
        return
    with err.status(f"{what} ...") as status:
        yield lambda resource: status.update(_describe(what, resource))


def _describe(what: str, resource: dict[str, Any]) -> str:
    found = resource.get("progress")
    step = found.get("phase") or found.get("message") if isinstance(found, dict) else found
    return f"{what}: {resource.get('status', '')}" + (f", {step}" if step else "")
