"""`headroom db`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.cli.commands.service import load_settings
from app.cli.console import out, print_json
from app.cli.duration import parse_duration
from app.cli.errors import CliError, ExitCode

application = typer.Typer(help="The service's database.", no_args_is_help=True)


@application.callback()
def db() -> None:
    """The service's database."""


@application.command()
def upgrade() -> None:
    """Create the tables, or bring them to this version's form; safe to repeat, and beside a running
    service. Says what it does. On PostgreSQL it waits 5 s at a time for a table that others have
    locked, and tries again.
    """
    from app.database import migrate
    from app.telemetry import logs

    settings = load_settings()
    logs.configure(settings, "migration")
    name = settings.url.render_as_string(hide_password=True)
    with _said_in_words():
        migrate(settings, report=lambda line: out.print(line, markup=False))
    out.print(f"{name} is up to date", markup=False)


@application.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Which schema the database has, and what `headroom db upgrade` would do; changes nothing.

    Exit codes: 0 this version works on it, 1 it does not (yet).
    """
    from dataclasses import asdict

    from sqlalchemy import create_engine

    from app.database import schema_state

    settings = load_settings()
    if settings.is_embedded and not (path := Path(settings.url.database or "")).exists():
        raise CliError(f"there is no database {path} yet; `headroom serve` creates it")
    with _said_in_words():
        engine = create_engine(settings.url)
        try:
            state = schema_state(engine)
        finally:
            engine.dispose()
    if as_json:
        print_json(asdict(state))
    else:
        out.print(f"database   {state.current or 'has no tables'}")
        out.print(f"version    {state.head}")
        out.print(f"pending    {', '.join(state.pending) or 'nothing'}")
        if state.oldest_compatible is not None:
            out.print(f"works with code of revision {state.oldest_compatible} or later")
    if not state.serves:
        raise typer.Exit(ExitCode.FAILURE)


@contextmanager
def _said_in_words() -> Iterator[None]:
    """A database that is away or busy is no error of the program."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        raise CliError(f"the database does not answer: {str(error.orig).strip()}") from None
    except TimeoutError as error:
        raise CliError(str(error)) from None


@application.command()
def prune(
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="Since it ended: 12h, 90d, 8w.")
    ] = "90d",
    dry_run: Annotated[bool, typer.Option(help="Only say what would be deleted.")] = False,
) -> None:
    """Delete finished simulations, plans and runs, with their files, and entries of the log of
    writes that are older. What a younger run refers to stays. The service may be running.

    headroom db prune --older-than 90d --dry-run
    """
    from app.database import Database
    from app.engine.client import EngineClient
    from app.jobs.retention import count_old
    from app.jobs.retention import prune as prune_jobs
    from app.kit.columns import utc_now

    settings, before = load_settings(), utc_now() - parse_duration(older_than, "--older-than")

    async def work() -> dict[str, int]:
        database = Database(settings.url)
        try:
            if dry_run:
                return await count_old(database, before)
            engine = EngineClient(settings.url)
            try:
                return await prune_jobs(database, engine, before)
            finally:
                await engine.close()
        finally:
            await database.close()

    found = ", ".join(f"{count} x {kind}" for kind, count in asyncio.run(work()).items() if count)
    out.print(f"{'Would delete' if dry_run else 'Deleted'}: {found or 'nothing'}")
