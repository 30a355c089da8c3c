"""`headroom serve` and `headroom worker`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.errors import usage_error
from app.cli.labels import parse_labels
from app.settings import Settings
from app.worker_settings import WorkerSettings

AnySettings = TypeVar("AnySettings", bound=WorkerSettings)

if TYPE_CHECKING:
    from app.server import Certificate


def load_settings() -> Settings:
    """The settings of the environment.

    Raises:
        CliError: a variable holds what it must not; the message names it.
    """
    return _load(Settings)


def _load(kind: type[AnySettings]) -> AnySettings:
    from pydantic import ValidationError

    try:
        return kind()
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
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Attach over HTTPS to the service at this address, without access to its "
            "database; with a key of scope `worker` in HEADROOM_API_KEY.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="With --server: a file with the key, instead.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(help="With --server: certificates (PEM) to trust instead of the system's."),
    ] = None,
    allow_http: Annotated[
        bool,
        typer.Option(
            "--allow-http",
            help="With --server: http:// beyond this machine, where the network is encrypted.",
        ),
    ] = False,
) -> None:
    """Attach a worker to a service: it simulates, and runs models on the device of this machine.

    On a machine with NVIDIA GPUs there is one worker process for each of them, or for those that
    CUDA_VISIBLE_DEVICES names.

    It finds the service through the same variables as `headroom serve`: HEADROOM_DATABASE_URL, or
    HEADROOM_DATA_DIR on the same machine; or at the address that --server gives. SIGTERM ends it;
    its jobs go to another worker.
    """
    from app.fleet import REMOTE_WORKER, WORKER, cards, run_fleet, worker_commands
    from app.remote.address import Address

    given = parse_labels(labels or [])
    found = [] if given.get("device") == "cpu" else cards()
    if not found and given.get("device") == "cuda":
        raise usage_error("--label device=cuda: the driver shows no GPU here; is it installed?")
    if server is None and (token_file or ca_file or allow_http):
        raise usage_error("--token-file, --ca-file and --allow-http belong to --server")
    address = None if server is None else Address(server, token_file, ca_file, allow_http)
    if found:
        program = WORKER if address is None else (*REMOTE_WORKER, *address.options())
        commands = worker_commands(found, given, identifier, simulates, program)
        run_fleet(load_settings() if address is None else _load(WorkerSettings), commands)
    elif address is None:
        from app.engine import worker as direct

        direct.main(load_settings(), labels=given, worker_id=identifier, simulates=simulates)
    else:
        from app.remote import worker as remote

        settings = _load(WorkerSettings)
        remote.main(address, settings, labels=given, worker_id=identifier, simulates=simulates)
