"""`headroom check`: a gate for pull requests."""

from __future__ import annotations

import json as json_module
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli.backend import (
    DEFAULT_SERVER,
    Backend,
    JsonOption,
    LocalOption,
    ServerOption,
    open_backend,
)
from app.cli.console import err, out, print_json, progress
from app.cli.errors import CliError, ExitCode, usage_error
from app.cli.memory import parse_memory
from app.cli.model_source import is_request, read_document
from app.cli.outcome import needed_bytes, require_succeeded
from app.cli.render import bytes_text, headed
from planner.versions import versions

RequestsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="REQUEST...", help="Files that hold whole requests, as POSTed."),
]
BaselineOption = Annotated[
    Path, typer.Option(help="File with the peaks agreed on; kept with the code.", metavar="FILE")
]
ToleranceOption = Annotated[
    float, typer.Option(min=0, help="Growth over the agreed peak that passes, in percent.")
]
LimitOption = Annotated[
    str | None, typer.Option(help="Bytes that no peak may pass, such as 24GiB.", metavar="BYTES")
]
SummaryOption = Annotated[
    Path | None,
    typer.Option(help="Append the table as Markdown, as GitHub shows it.", metavar="FILE"),
]


@dataclass(frozen=True)
class Checked:
    """One request: what it needs now, what was agreed, and whether that passes."""

    name: str
    needed_bytes: int
    agreed_bytes: int | None
    passes: bool

    @property
    def growth(self) -> float | None:
        """Relative to what was agreed."""
        return None if not self.agreed_bytes else self.needed_bytes / self.agreed_bytes - 1


def check(
    requests: RequestsArgument,
    baseline: BaselineOption = Path("headroom.json"),
    tolerance: ToleranceOption = 0.0,
    memory: LimitOption = None,
    update: Annotated[bool, typer.Option(help="Write what is predicted as agreed.")] = False,
    summary: SummaryOption = None,
    json: JsonOption = False,
    local: LocalOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Fail where a predicted peak has grown past the one agreed on, or past a limit.

    ```text
    headroom check requests/*.json --update --local           # agree on what is predicted now
    headroom check requests/*.json --tolerance 1 --local      # in CI
    ```

    Ends with 0 when all pass, 3 when one does not, 2 when a request is wrong and 1 when one could
    not be predicted. A request without an agreed peak passes, unless it is over --memory.
    """
    limit = None if memory is None else parse_memory(memory)
    agreed = _read(baseline)
    with closing(open_backend(server, local)) as backend:
        needed = {str(path): _needed(backend, path) for path in requests}
    checked = [
        Checked(name, count, agreed.get(name), _passes(count, agreed.get(name), tolerance, limit))
        for name, count in needed.items()
    ]
    if update:
        _write(baseline, agreed | needed)
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(_markdown(checked))
    if json:
        print_json([{**vars(each), "growth": each.growth} for each in checked])
    else:
        out.print(_table(checked))
        if update:
            err.print(f"Agreed: written to {baseline}", style="dim")
    over = limit is not None and any(each.needed_bytes > limit for each in checked)
    if over or not (update or all(each.passes for each in checked)):
        raise typer.Exit(ExitCode.DOES_NOT_FIT)


def _needed(backend: Backend, path: Path) -> int:
    document = read_document(str(path))
    if not is_request(document):
        raise usage_error(f"{path} holds no request: `headroom simulate ... --print-request` does")
    with progress(f"Simulating {path}") as on_progress:
        simulation = backend.simulate(document, on_progress)
    require_succeeded(simulation)
    return needed_bytes(simulation["prediction"])


def _passes(needed: int, agreed: int | None, tolerance: float, limit: int | None) -> bool:
    if limit is not None and needed > limit:
        return False
    return agreed is None or needed <= agreed * (1 + tolerance / 100)


def _read(path: Path) -> dict[str, int]:
    """Agreed bytes by the name of the file; none where there is no such file yet."""
    if not path.exists():
        return {}
    agreed = read_document(str(path)).get("needed_bytes")
    if not isinstance(agreed, dict) or not all(type(each) is int for each in agreed.values()):
        raise usage_error(f"{path} is no baseline; write one with --update")
    return agreed


def _write(path: Path, needed: dict[str, int]) -> None:
    content: dict[str, Any] = {"needed_bytes": dict(sorted(needed.items())), "versions": versions()}
    try:
        path.write_text(json_module.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from None


def _cells(each: Checked) -> tuple[str, str, str, str, str]:
    growth = "" if each.growth is None else f"{each.growth:+.2%}"
    verdict = "ok" if each.passes else "too much"
    if each.passes and each.agreed_bytes is None:
        verdict = "new"
    agreed = "-" if each.agreed_bytes is None else bytes_text(each.agreed_bytes)
    return each.name, bytes_text(each.needed_bytes), agreed, growth, verdict


def _table(checked: list[Checked]) -> Table:
    table = headed("Predicted peaks", "Request", "Needed", "Agreed", "Growth", "")
    for each in checked:
        table.add_row(*_cells(each), style="" if each.passes else "red")
    return table


def _markdown(checked: list[Checked]) -> str:
    rows = [("request", "needed", "agreed", "growth", ""), ("---",) * 5, *map(_cells, checked)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
