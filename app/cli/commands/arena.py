"""Static memory planning of a file of buffers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.console import err
from app.cli.errors import ExitCode, usage_error
from app.cli.memory import parse_memory
from planner.arena import Buffers, Layout, Proof, pack, read_csv, write_csv


def arena(
    file: Annotated[Path, typer.Argument(help="CSV with the columns id, lower, upper, size.")],
    capacity: Annotated[
        str | None,
        typer.Option(help="What the arena may take, such as 1MiB; the least when absent."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long to search; 0: greedy.")] = 60.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write, if not on standard output."),
    ] = None,
) -> None:
    """Give each buffer an offset in one arena, so that none alive together share bytes.

    ```text
    headroom arena buffers.csv --capacity 1048576 > layout.csv
    curl "$H/v1/simulations/$ID/export?format=arena" -o step.csv && headroom arena step.csv
    ```

    The file is MiniMalloc's: lifetimes [lower, upper) in any unit. Ends with 3 when no layout
    within the capacity was found.
    """
    limit = None if capacity is None else parse_memory(capacity, "--capacity")
    try:
        buffers = read_csv(file.read_text())
    except (OSError, ValueError) as error:
        raise usage_error(f"{file}: {error}") from None
    layout = pack(buffers, limit, seconds)
    text = write_csv(buffers, layout.offsets)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text)
    err.print(_said(buffers, layout))
    if not layout.fits:
        raise typer.Exit(ExitCode.DOES_NOT_FIT)


def _said(buffers: Buffers, layout: Layout) -> str:
    bound = f"lower bound {layout.lower_bound_bytes:,} bytes"
    proof = {
        Proof.OPTIMAL: f"no layout is lower ({layout.solver})",
        Proof.INFEASIBLE: "no layout fits the capacity",
        Proof.NONE: f"{bound}, {100 * layout.gap:.2f} % above it ({layout.solver})",
    }[layout.proof]
    return (
        f"{len(buffers)} buffers in {layout.height_bytes:,} bytes; {proof}; {layout.seconds:.2f} s"
    )
