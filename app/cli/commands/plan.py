"""`headroom plan`."""

from __future__ import annotations

import json as json_module
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import render_plan
from app.cli.backend import (
    DEFAULT_SERVER,
    JsonOption,
    LocalOption,
    PrintOption,
    ServerOption,
    open_backend,
)
from app.cli.console import out, print_json, progress, say_stored
from app.cli.errors import CliError, ExitCode, usage_error
from app.cli.frontier import announced
from app.cli.memory import parse_memory
from app.cli.outcome import require_succeeded
from app.cli.request_options import RequestOptions, takes_request
from planner.plans import SolverName

_HOW = "What a plan may do"

BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="The budget, such as 8GiB; default: the device's memory.",
        metavar="BYTES",
        rich_help_panel=_HOW,
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TECHNIQUE[,...]",
        help="Techniques that it may use; repeatable. Default: all that leave the mathematics as "
        "it is.",
        rich_help_panel=_HOW,
    ),
]
UnitsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Glob of module paths to choose for, such as transformer.h.*; repeatable. Default: "
        "the repeated blocks.",
        rich_help_panel=_HOW,
    ),
]
SolverOption = Annotated[SolverName | None, typer.Option(rich_help_panel=_HOW)]
FrontierOption = Annotated[
    int | None,
    typer.Option(
        "--frontier",
        min=0,
        max=32,
        help="How many strategies for other budgets to certify as well.",
        rich_help_panel=_HOW,
    ),
]
SolveForOption = Annotated[
    Literal["batch_size", "sequence_length", "device"] | None,
    typer.Option(
        help="Find the largest (or the smallest device) that fits.",
        rich_help_panel=_HOW,
    ),
]
StrategyOutOption = Annotated[
    Path | None,
    typer.Option(help="Write the strategy as JSON to this file.", metavar="FILE", dir_okay=False),
]


@takes_request
def plan(
    request: RequestOptions,
    memory: BudgetOption = None,
    allow: AllowOption = None,
    units: UnitsOption = None,
    solver: SolverOption = None,
    frontier: FrontierOption = None,
    solve_for: SolveForOption = None,
    strategy_out: StrategyOutOption = None,
    print_request: PrintOption = False,
    json: JsonOption = False,
    local: LocalOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Find the cheapest way to make a training step fit a memory budget.

    ```text
    headroom plan --model-type gpt2 -b 8 -s 512 --memory 4GiB
    headroom plan examples/gpt2-plan.json --allow checkpointing,selective --frontier 4
    headroom plan path/to/model --memory 24GiB --solve-for batch_size --strategy-out plan.json
    ```

    Ends with 0 when something fits, 3 when nothing does, 2 when the request is wrong and 1 when it
    could not be done.
    """
    body = _body(
        request.body(),
        budget=None if memory is None else {"memory": parse_memory(memory)},
        allow=_separated(allow),
        units=units or None,
        solver=solver,
        frontier_points=frontier,
        solve_for=solve_for,
    )
    if print_request:
        print_json(body)
        return
    with closing(open_backend(server, local)) as backend, progress("Planning") as on_progress:
        found = backend.plan(body, announced(on_progress))
    require_succeeded(found)
    if json:
        print_json(found)
    else:
        out.print(render_plan.plan(found))
        say_stored(found, server, "plans")
    if strategy_out is not None:
        _write_strategy(strategy_out, found)
    if not found["feasible"]:
        raise typer.Exit(ExitCode.DOES_NOT_FIT)


def _body(body: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The request with what the options add. That of a simulation will do, too."""
    if body.get("strategy") == {"checkpointing": "none"}:
        del body["strategy"]
    if "strategy" in body:
        raise usage_error("a plan finds the strategy: leave out strategy and --checkpointing")
    return {**body, **{name: value for name, value in given.items() if value is not None}}


def _separated(texts: list[str] | None) -> list[str] | None:
    """`["a,b", "c"]` -> `["a", "b", "c"]`."""
    names = [name.strip() for text in texts or [] for name in text.split(",")]
    return [name for name in names if name] or None


def _write_strategy(path: Path, found: dict[str, Any]) -> None:
    """The plan's strategy; where nothing fits there is none to write."""
    if found["strategy"] is None:
        return
    try:
        path.write_text(json_module.dumps(found["strategy"], indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CliError(f"the strategy cannot be written to {path}: {error.strerror}") from None
