"""`headroom db`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.cli.commands.service import load_settings
from app.cli.console import out
from app.cli.duration import parse_duration

application = typer.Typer(help="The service's database.", no_args_is_help=True)


@application.callback()
def db() -> None:
    """The service's database."""


@application.command()
def upgrade() -> None:
    """Create the tables, or bring them to this version's form; safe to repeat."""
    from app.database import migrate
    from app.telemetry import logs

    settings = load_settings()
    logs.configure(settings, "migration")
    migrate(settings)
    out.print(f"{settings.url.render_as_string(hide_password=True)} is up to date")


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
