"""`headroom db`."""

from __future__ import annotations

import typer

from app.cli.commands.service import load_settings
from app.cli.console import out

application = typer.Typer(help="The service's database.", no_args_is_help=True)


@application.callback()
def db() -> None:
    """The service's database."""


@application.command()
def upgrade() -> None:
    """Create the tables, or bring them to this version's form; safe to repeat."""
    from app.database import migrate

    settings = load_settings()
    migrate(settings)
    out.print(f"{settings.url.render_as_string(hide_password=True)} is up to date")
