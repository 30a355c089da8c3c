"""The command tree, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys

import typer

from app.cli import render
from app.cli.commands import (
    arena,
    check,
    database,
    demo,
    design_search,
    keys,
    listing,
    plan,
    service,
    simulate,
    sweep,
)
from app.cli.console import err
from app.cli.errors import CliError
from planner.errors import HeadroomError, InvalidRequest
from planner.versions import versions

application = typer.Typer(
    name="headroom",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_ASK = "Predict and prove"
_LOOK = "What a service has"
_SERVE = "Run a service"

application.command(rich_help_panel=_ASK)(simulate.simulate)
application.command(rich_help_panel=_ASK)(plan.plan)
application.command(rich_help_panel=_ASK)(sweep.sweep)
application.command(rich_help_panel=_ASK)(design_search.design_search)
application.command(rich_help_panel=_ASK)(check.check)
application.command(rich_help_panel=_ASK)(simulate.run)
application.command(rich_help_panel=_ASK)(demo.demo)
application.command(rich_help_panel=_ASK)(arena.arena)
application.command(rich_help_panel=_LOOK)(listing.simulations)
application.command(rich_help_panel=_LOOK)(listing.plans)
application.command(rich_help_panel=_LOOK)(listing.sweeps)
application.command(rich_help_panel=_LOOK)(listing.design_searches)
application.command(rich_help_panel=_LOOK)(listing.runs)
application.command(rich_help_panel=_LOOK)(listing.models)
application.command(rich_help_panel=_LOOK)(listing.devices)
application.command(rich_help_panel=_LOOK)(listing.workers)
application.command(rich_help_panel=_SERVE)(service.serve)
application.command(rich_help_panel=_SERVE)(service.worker)
application.add_typer(keys.application, name="keys", rich_help_panel=_SERVE)
application.add_typer(database.application, name="db", rich_help_panel=_SERVE)


def _print_version(wanted: bool) -> None:
    if wanted:
        for name, version in versions().items():
            typer.echo(f"{name} {version}")
        raise typer.Exit


@application.callback()
def headroom(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print versions and exit."
    ),
) -> None:
    """Predict how much memory a PyTorch workload takes, and prove it by running it.

    Commands that need a service ask the one at --server (or the variable HEADROOM_SERVER);
    `simulate`, `plan`, `sweep`, `design-search`, `check` and `run` also work without one: --local.
    The key that a service may ask for is taken from the variable HEADROOM_API_KEY.

    Exit codes: 0 done, 1 it failed, 2 the request or the command line is wrong, 3 it does not fit
    the memory, or no design does what it must.
    """


def run() -> None:
    """Run the command line given to this process."""
    try:
        application()
    except CliError as error:
        fail(error)
    except InvalidRequest as error:
        fail(CliError.from_problem({**error.problem(), "status": 422}))
    except HeadroomError as error:
        fail(CliError.from_problem(error.problem()))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(error: CliError) -> None:
    """Print the problem on standard error, as JSON where the command was told `--json`, and end."""
    if "--json" in sys.argv:
        import json

        print(json.dumps(error.problem, indent=2), file=sys.stderr)
    else:
        render.problem(err, error.problem)
    sys.exit(error.exit_code)
