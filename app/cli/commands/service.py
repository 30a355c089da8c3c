"""`headroom serve` and `headroom worker`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.errors import usage_error
from app.cli.labels import parse_labels
from app.settings import Settings

if TYPE_CHECKING:
    from app.server import Certificate


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


def load_certificate(chain: Path | None, key: Path | None) -> Certificate | None:
    """What the command line names to serve HTTPS with.

    Raises:
        CliError: one is given without the other, or they do not belong together.
    """
    import ssl

    from app.server import Certificate

    if chain is None or key is None:
        if chain is key:
            return None
        raise usage_error("--tls-cert and --tls-key belong together: give both, or neither")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(chain, key)
    except (ssl.SSLError, OSError) as error:
        raise usage_error(
            f"--tls-cert {chain} and --tls-key {key} cannot be used: {error.strerror or error}; "
            "write the chain and the unencrypted key as PEM"
        ) from None
    return Certificate(chain, key)


def serve(
    host: Annotated[
        str, typer.Option(help="Address to bind; 0.0.0.0 offers the service to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free port.")] = 8000,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Start one local worker with it.")
    ] = True,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Serve HTTPS with this certificate chain (PEM)."
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The certificate's private key (PEM)."),
    ] = None,
) -> None:
    """Start the service, with one local worker.

    Without any setting it keeps everything in one SQLite file in the data folder
    (HEADROOM_DATA_DIR) and migrates it by itself. With HEADROOM_DATABASE_URL it uses PostgreSQL:
    run `headroom db upgrade` once before. SIGTERM ends it and its worker.
    """
    from app.server import serve as serve_app

    certificate = load_certificate(tls_cert, tls_key)
    serve_app(load_settings(), host=host, port=port, with_worker=worker, certificate=certificate)


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
