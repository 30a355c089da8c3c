"""`headroom design-search`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from app.cli import render_designs
from app.cli.axes import parse_values, varied
from app.cli.backend import (
    DEFAULT_SERVER,
    JsonOption,
    LocalOption,
    PrintOption,
    ServerOption,
    open_backend,
)
from app.cli.console import out, print_json, progress, say_stored
from app.cli.errors import ExitCode, usage_error
from app.cli.memory import parse_memory
from app.cli.outcome import require_succeeded
from app.cli.request_options import RequestOptions, takes_request
from app.cli.server import OnProgress, Resource
from planner.designs.request import MAX_EVALUATIONS, Objective

_SPACE = "What designs there are"
_WANTED = "What is wanted"

VaryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE,...",
        help="What designs differ in, such as batch_size=1,2,4, device=t4,l4 or n_layer=6,12: a "
        "field of the workload, `device`, a field of the configuration, or a JSON pointer into the "
        "request; repeatable, for every combination.",
        rich_help_panel=_SPACE,
    ),
]
TransformerOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=NUMBER,...",
        help="Sizes of a transformer, whatever its configuration calls them: hidden, heads, layers "
        "or feed_forward, such as hidden=64,128; repeatable.",
        rich_help_panel=_SPACE,
    ),
]
ObjectiveOption = Annotated[
    Objective | None,
    typer.Option(
        help="What the best design has least of, or of the score most.", rich_help_panel=_WANTED
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        help="The most that a peak may be, such as 24GiB.", metavar="BYTES", rich_help_panel=_WANTED
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(help="The most that a step may take.", rich_help_panel=_WANTED),
]
ParametersOption = Annotated[
    int | None, typer.Option(help="The most that a design may have.", rich_help_panel=_WANTED)
]
ScoreOption = Annotated[
    float | None, typer.Option(help="The least that a design may have.", rich_help_panel=_WANTED)
]
FitsOption = Annotated[
    bool | None,
    typer.Option(
        "--fits/--no-fits",
        help="Whether a design must fit its device's memory; default: it must.",
        rich_help_panel=_WANTED,
    ),
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="DEVICE=PRICE",
        help="Of an hour of a device, for the objective `cost`; repeatable.",
        rich_help_panel=_WANTED,
    ),
]
AlphaOption = Annotated[
    float | None,
    typer.Option(help="Weight of attention in the score, 0 to 1.", rich_help_panel=_WANTED),
]
EvaluationsOption = Annotated[
    int | None,
    typer.Option(
        "--evaluations",
        "-n",
        min=1,
        max=MAX_EVALUATIONS,
        help="How many designs to simulate at most.",
        rich_help_panel=_WANTED,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(min=0, help="Another one makes it another search.", rich_help_panel=_WANTED),
]
TopOption = Annotated[int, typer.Option(min=1, help="How many of the best designs to print.")]


@takes_request
def design_search(
    request: RequestOptions,
    vary: VaryOption = None,
    transformer: TransformerOption = None,
    objective: ObjectiveOption = None,
    memory: MemoryOption = None,
    max_seconds: SecondsOption = None,
    max_parameters: ParametersOption = None,
    min_score: ScoreOption = None,
    fits: FitsOption = None,
    price: PriceOption = None,
    alpha: AlphaOption = None,
    evaluations: EvaluationsOption = None,
    seed: SeedOption = None,
    top: TopOption = 10,
    print_request: PrintOption = False,
    json: JsonOption = False,
    local: LocalOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Find the best of many designs by simulating few: which architecture, batch or device.

    ```text
    headroom design-search examples/design-search.json
    headroom design-search --model-type bert --transformer hidden=128,256 \\
        --transformer layers=2,4,8 --objective score --memory 1GiB --local
    headroom design-search path/to/model --vary device=t4,l4 --objective cost --price t4=0.35 \\
        --price l4=0.71
    jq '.seed = 1' search.json | headroom design-search - --evaluations 30
    ```

    Options go before what a file says. Ends with 0 when a feasible design was found, 3 when none
    of those simulated is, 2 when the request is wrong and 1 when it could not be done.
    """
    body = request.body()
    body["vary"] = varied(body, vary)
    limits = _given(
        peak_bytes=None if memory is None else parse_memory(memory),
        step_seconds=max_seconds,
        parameter_count=max_parameters,
        score=min_score,
        fits=fits,
    )
    _merge(body, transformer=_sizes(transformer), constraints=limits, prices=_prices(price))
    body |= _given(objective=objective, alpha=alpha, evaluations=evaluations, seed=seed)
    if print_request:
        print_json(body)
        return
    wanted = body.get("objective", "peak_bytes")
    with closing(open_backend(server, local)) as backend, progress("Searching") as on_progress:
        found = backend.search_designs(body, _counted(on_progress, wanted))
    require_succeeded(found)
    if json:
        print_json(found)
    else:
        out.print(render_designs.design_search(found, top))
        say_stored(found, server, "design-searches")
    if not found["feasible"]:
        raise typer.Exit(ExitCode.DOES_NOT_FIT)


def _sizes(texts: list[str] | None) -> dict[str, Any]:
    """`["hidden=64,128"]` -> `{"hidden": [64, 128]}`."""
    found = {}
    for text in texts or []:
        name, separator, values = text.partition("=")
        if not separator or not name or not values:
            raise usage_error(
                f"--transformer {text}: write it as NAME=NUMBER,..., such as hidden=64,128"
            )
        found[name.replace("-", "_")] = parse_values(values, "--transformer")
    return found


def _prices(texts: list[str] | None) -> dict[str, float]:
    """`["t4=0.35"]` -> `{"t4": 0.35}`."""
    found = {}
    for text in texts or []:
        name, _, price = text.partition("=")
        try:
            found[name] = float(price)
        except ValueError:
            raise usage_error(
                f"--price {text}: write it as DEVICE=PRICE, such as t4=0.35"
            ) from None
    return found


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _merge(body: Resource, **sections: dict[str, Any]) -> None:
    """What options say of a section, beside what the file says of it."""
    for name, values in sections.items():
        if values:
            own = body.get(name)
            body[name] = {**(own if isinstance(own, dict) else {}), **values}


def _counted(on_progress: OnProgress, objective: str) -> OnProgress:
    """The same listener, told how many designs are done and the best so far."""

    def tell(search: Resource) -> None:
        found: Any = search.get("progress")
        if not isinstance(found, dict) or "evaluations" not in found:
            on_progress(search)
            return
        done = {
            "done": found["evaluations"],
            "total": found["most_evaluations"],
            "phase": f"best {render_designs.value_text(objective, found['best_value'])}",
        }
        on_progress({"status": search["status"], "progress": done})

    return tell
