"""`headroom serve` and `headroom worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.errors import usage_error
from app.cli.labels import parse_labels
from app.settings import Settings


def load_settings() -> Settings:
    """The settings of the environment.

    Raises:
        CliError: a variable holds what it must not; the message names it.
    """
    from pydantic import ValidationError

    try:
        return Settings()
    except ValidationError as error:
        found = error.errors()[0]
        variable = "HEADROOM_" + "_".join(str(part) for part in found["loc"]).upper()
        raise usage_error(f"{variable} {found['msg'].removeprefix('Value error, ')}") from None


def serve(
    host: Annotated[
        str, typer.Option(help="Address to bind; 0.0.0.0 offers the service to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free port.")] = 8000,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Start one local worker with it.")
    ] = True,
) -> None:
    """Start the service, with one local worker.

    Without any setting it keeps everything in one SQLite file in the data folder
    (HEADROOM_DATA_DIR) and migrates it by itself. With HEADROOM_DATABASE_URL it uses PostgreSQL:
    run `headroom db upgrade` once before. SIGTERM ends it and its worker.
    """
    from app.server import serve as serve_app

    serve_app(load_settings(), host=host, port=port, with_worker=worker)


def worker(
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            help="What runs may ask for, such as room=east; repeatable. `device` and what the "
            "card is are found out; device=cpu leaves the cards alone.",
        ),
    ] = None,
    identifier: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Unique among workers, and the same after a restart; numbered where there are "
            "several GPUs.",
        ),
    ] = None,
    simulates: Annotated[
        bool | None,
        typer.Option(
            "--simulate/--no-simulate",
            help="Whether it takes simulations and plans besides runs; default: where there is no "
            "GPU.",
        ),
    ] = None,
) -> None:
    """Attach a worker to a service: it simulates, and runs models on the device of this machine.

    On a machine with NVIDIA GPUs there is one worker process for each of them, or for those that
    CUDA_VISIBLE_DEVICES names.

    It finds the service through the same variables as `headroom serve`: HEADROOM_DATABASE_URL, or
    HEADROOM_DATA_DIR on the same machine. SIGTERM ends it; its jobs go to another worker.
    """
    from app.fleet import cards, run_fleet, worker_commands

    settings, given = load_settings(), parse_labels(labels or [])
    found = [] if given.get("device") == "cpu" else cards()
    if found:
        run_fleet(settings, worker_commands(found, given, identifier, simulates))
        return
    if given.get("device") == "cuda":
        raise usage_error("--label device=cuda: the driver shows no GPU here; is it installed?")
    from app.engine.worker import main

    main(settings, labels=given, worker_id=identifier, simulates=simulates)
