"""Where commands print: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
_BAR_COLUMNS = 24


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
    """A spinner on standard error while something lasts; nothing where that is no terminal.

    Beside it a bar, where the progress of what is listened to has `done` of a `total`.
    """
    if not err.is_terminal:
        yield lambda resource: None
        return
    with err.status(f"{what} ...") as status:
        yield lambda resource: status.update(described(what, resource))


def described(what: str, resource: dict[str, Any]) -> RenderableType:
    """How far something is, in a line."""
    found = resource.get("progress")
    step = found.get("phase") or found.get("message") if isinstance(found, dict) else found
    text = f"{what}: {resource.get('status', '')}"
    if not isinstance(found, dict) or not found.get("total"):
        return text + (f", {step}" if step else "")
    done, total = found["done"], found["total"]
    line = Table.grid(padding=(0, 1))
    line.add_row(
        text,
        ProgressBar(total=total, completed=done, width=_BAR_COLUMNS),
        f"{done} of {total}" + (f", {step}" if step else ""),
    )
    return line
