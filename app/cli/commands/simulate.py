"""`headroom simulate` and `headroom run`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from app.cli import render
from app.cli.backend import (
    DEFAULT_SERVER,
    Backend,
    JsonOption,
    LocalOption,
    PrintOption,
    ServerOption,
    open_backend,
)
from app.cli.console import out, print_json, progress, say_stored
from app.cli.errors import ExitCode, usage_error
from app.cli.labels import parse_labels
from app.cli.memory import parse_memory
from app.cli.outcome import fits, needed_bytes, require_succeeded
from app.cli.request_options import RequestOptions, takes_request
from planner.quantities import format_bytes

MemoryOption = Annotated[
    str | None,
    typer.Option(
        help="Bytes it must fit in, such as 24GiB, for exit code 3; default: the device's memory.",
        metavar="BYTES",
    ),
]


@takes_request
def simulate(
    request: RequestOptions,
    memory: MemoryOption = None,
    print_request: PrintOption = False,
    json: JsonOption = False,
    local: LocalOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Predict the peak memory of a model and a workload, without running it.

    ```text
    headroom simulate --model-type gpt2 --set n_layer=6 -b 4 -s 256
    headroom simulate path/to/model -s 2048 -p bf16 --checkpointing full
    headroom simulate examples/gpt2-train.json --local --json
    jq .model.config request.json | headroom simulate - --mode inference
    ```

    Ends with 0 when it fits the device, 3 when it does not, 2 when the request is wrong and 1 when
    it could not be done.
    """
    body = request.body()
    if print_request:
        print_json(body)
        return
    limit = None if memory is None else parse_memory(memory)
    with closing(open_backend(server, local)) as backend:
        with progress("Simulating") as on_progress:
            simulation = backend.simulate(body, on_progress)
        require_succeeded(simulation)
        if limit is None:
            limit = _device_memory(backend, simulation)
    if json:
        print_json(simulation)
    else:
        _print_simulation(simulation, limit)
        say_stored(simulation, server, "simulations")
    if not fits(simulation["prediction"], limit):
        raise typer.Exit(ExitCode.DOES_NOT_FIT)


@takes_request
def run(
    request: RequestOptions,
    simulation: Annotated[
        str | None,
        typer.Option(help="Run this stored simulation instead of a new one.", metavar="ID"),
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option(
            help="Run this stored plan, and the step without its strategy beside it.", metavar="ID"
        ),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            help="What the worker must be labelled with, such as device=cuda; repeatable.",
        ),
    ] = None,
    json: JsonOption = False,
    local: LocalOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Predict, then run it for real on a worker, and print predicted beside measured.

    ```text
    headroom run --model-type gpt2 -b 2 -s 128
    headroom run examples/gpt2-train.json --local
    headroom run --simulation sim_... --label device=cuda
    headroom run --plan plan_...
    ```

    Ends with 3 when the run is out of memory; otherwise as `headroom simulate`.
    """
    wanted = parse_labels(labels or [])
    with closing(open_backend(server, local)) as backend, progress("Running") as on_progress:
        if simulation is not None and plan is not None:
            raise usage_error("give --simulation or --plan, not both")
        if plan is not None:
            result = backend.run_plan(plan, wanted, on_progress)
        elif simulation is not None:
            result = backend.run(simulation, wanted, on_progress)
        else:
            result = backend.run_request(request.body(), wanted, on_progress)
    require_succeeded(result)
    if json:
        print_json(result)
    else:
        out.print(render.comparison(result))
        say_stored(result, server, "runs")


def _print_simulation(simulation: dict[str, Any], limit: int | None) -> None:
    out.print(render.prediction(simulation))
    if limit is not None:
        needed = needed_bytes(simulation["prediction"])
        if needed <= limit:
            spare = format_bytes(limit - needed)
            out.print(f"[green]Fits[/] {format_bytes(limit)}, {spare} to spare.")
        else:
            short = format_bytes(needed - limit)
            out.print(f"[red]Does not fit[/] {format_bytes(limit)}: {short} short.")


def _device_memory(backend: Backend, simulation: dict[str, Any]) -> int | None:
    profile = backend.device(simulation["request"]["device"])
    return profile.get("memory_bytes") if profile else None
