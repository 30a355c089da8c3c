"""Commands that show what a service has: models, devices, workers, and what was asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import RenderableType

from app.cli import render, render_designs, render_device, render_plan, render_sweep
from app.cli.axes import axis_names
from app.cli.backend import DEFAULT_SERVER, JsonOption, ServerOption
from app.cli.console import out, print_json
from app.cli.outcome import require_succeeded
from app.cli.server import Resource, Server

IdentifierArgument = Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this one.")]
LimitOption = Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")]
StatusOption = Annotated[
    str | None,
    typer.Option(help="Only those that are queued, running, succeeded, failed, cancelled ..."),
]


def models(
    task: Annotated[
        str | None, typer.Argument(help="List the model types that this task can be built for.")
    ] = None,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """What can be simulated: tasks, presets, and with a task every model type.

    headroom models
    headroom models text-generation
    """
    catalogue = Server(server).get("/v1/models")
    if task is not None:
        found = catalogue["model_types"].get(task)
        if found is None:
            raise typer.BadParameter(f"no such task; one of {', '.join(catalogue['model_types'])}")
        print_json(found) if json else out.print(*found, sep="\n")
        return
    if json:
        print_json(catalogue)
        return
    rows = [
        {**entry, "count": len(catalogue["model_types"].get(entry["name"], []))}
        for entry in catalogue["tasks"]
    ]
    columns = [("Task", "name"), ("Model types", "count"), ("What it is", "summary")]
    out.print(render.listing(columns, rows, "No tasks."))
    if catalogue["presets"]:
        columns = [
            ("Preset", "name"),
            ("What it is", "summary"),
            ("Size paper", "sizes.paper"),
            ("Paper", "paper"),
        ]
        out.print(render.listing(columns, catalogue["presets"], ""))


def devices(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this one.")] = None,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Device profiles, or one of them in full: memory, speeds, and where each number comes from."""
    client = Server(server)
    if name is not None:
        device = client.get(f"/v1/devices/{quote(name, safe='')}")
        print_json(device) if json else out.print(render_device.device(device))
        return
    columns = [
        ("Name", "name"),
        ("Kind", "kind"),
        ("Architecture", "architecture"),
        ("Memory", "memory_bytes"),
        ("Origin", "origin"),
    ]
    _show(client.get("/v1/devices"), columns, "No devices.", json)


def workers(json: JsonOption = False, server: ServerOption = DEFAULT_SERVER) -> None:
    """Workers attached to the service: labels, device, state, when last seen."""
    page = Server(server).get("/v1/workers")
    columns = [
        ("Worker", "id"),
        ("State", "state"),
        ("Attached", "attachment"),
        ("Labels", "labels"),
        ("Device", "device.name"),
        ("Torch", "versions.torch"),
        ("Not the service's", "differs_in"),
        ("Last seen", "last_seen_at"),
    ]
    _show(page, columns, "No worker is attached; start one with `headroom worker`.", json)


def simulations(
    identifier: IdentifierArgument = None,
    status: StatusOption = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Stored simulations, newest first, or one of them in full."""
    client = Server(server)
    if identifier is not None:
        found = client.get(f"/v1/simulations/{identifier}")
        _show_one(found, render.prediction, json)
        return
    columns = [
        ("Simulation", "id"),
        ("Status", "status"),
        ("Peak", "prediction.peak_bytes"),
        ("Model", "request.model.config.model_type"),
        ("Mode", "request.workload.mode"),
        ("Device", "request.device"),
        ("Created", "created_at"),
    ]
    page = client.get("/v1/simulations", status=status, limit=limit)
    _show(page, columns, "No simulations.", json, width=out.width)


def plans(
    identifier: IdentifierArgument = None,
    status: StatusOption = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Stored plans, newest first, or one of them in full."""
    client = Server(server)
    if identifier is not None:
        found = client.get(f"/v1/plans/{identifier}")
        _show_one(found, render_plan.plan, json)
        return
    columns = [
        ("Plan", "id"),
        ("Status", "status"),
        ("Model", "request.model.config.model_type"),
        ("Budget", "budget_bytes"),
        ("Peak", "prediction.peak_bytes"),
        ("Baseline", "baseline.peak_bytes"),
        ("Fits", "feasible"),
        ("Device", "request.device"),
        ("Created", "created_at"),
    ]
    page = client.get("/v1/plans", status=status, limit=limit)
    _show(page, columns, "No plans.", json, width=out.width)


def design_searches(
    identifier: IdentifierArgument = None,
    status: StatusOption = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Stored design searches, newest first, or one of them: the best designs found."""
    client = Server(server)
    if identifier is not None:
        found = client.get(f"/v1/design-searches/{identifier}")
        _show_one(found, lambda search: render_designs.design_search(search, top=10), json)
        return
    page = client.get("/v1/design-searches", status=status, limit=limit)
    if not json:
        for item in page["items"]:
            objective = item["request"]["objective"]
            item["best"] = render_designs.value_text(objective, item["best_value"])
    columns = [
        ("Search", "id"),
        ("Status", "status"),
        ("Model", "request.model.config.model_type"),
        ("Objective", "request.objective"),
        ("Best", "best"),
        ("Feasible", "feasible"),
        ("Simulated", "evaluations"),
        ("Created", "created_at"),
    ]
    _show(page, columns, "No design searches.", json, width=out.width)


def sweeps(
    identifier: IdentifierArgument = None,
    status: StatusOption = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Stored sweeps, newest first, or the points of one of them, as far as they are."""
    client = Server(server)
    if identifier is not None:
        found = client.get(f"/v1/sweeps/{identifier}")
        _show_one(found, lambda sweep: render_sweep.sweep(sweep, None), json, finished=False)
        return
    page = client.get("/v1/sweeps", status=status, limit=limit)
    if not json:
        for item in page["items"]:
            axes = [axis["pointer"] for axis in item["request"]["vary"]]
            item["varied"] = ", ".join(axis_names(axes).values())
    columns = [
        ("Sweep", "id"),
        ("Status", "status"),
        ("Model", "request.model.config.model_type"),
        ("Varied", "varied"),
        ("Points", "counts.total"),
        ("Succeeded", "counts.succeeded"),
        ("Created", "created_at"),
    ]
    _show(page, columns, "No sweeps.", json, width=out.width)


def runs(
    identifier: IdentifierArgument = None,
    status: StatusOption = None,
    limit: LimitOption = 20,
    json: JsonOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Real runs, newest first, or one of them: predicted beside measured."""
    client = Server(server)
    if identifier is not None:
        found = client.get(f"/v1/runs/{identifier}")
        _show_one(found, render.comparison, json)
        return
    columns = [
        ("Run", "id"),
        ("Status", "status"),
        ("Predicted", "predicted.peak_bytes"),
        ("Measured", "measured.peak_bytes"),
        ("Worker", "worker.id"),
        ("Simulation", "simulation_id"),
        ("Plan", "plan_id"),
        ("Created", "created_at"),
    ]
    page = client.get("/v1/runs", status=status, limit=limit)
    _show(page, columns, "No runs.", json, width=out.width)


def _show_one(
    found: Resource,
    rendered: Callable[[Resource], RenderableType],
    as_json: bool,
    *,
    finished: bool = True,
) -> None:
    """One resource, as JSON or rendered; `finished`: rendered only if it has succeeded."""
    if as_json:
        print_json(found)
        return
    if finished:
        require_succeeded(found)
    out.print(rendered(found))


def _show(
    page: Any,
    columns: list[tuple[str, str]],
    empty: str,
    as_json: bool,
    width: int | None = None,
) -> None:
    if as_json:
        print_json(page)
    else:
        out.print(render.listing(columns, page["items"], empty, width))
