"""`headroom keys`: who may call a service. Works on the service's database, as `headroom db`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli import render
from app.cli.backend import JsonOption
from app.cli.commands.service import load_settings
from app.cli.console import err, out, print_json
from app.cli.duration import parse_duration
from app.cli.errors import usage_error

application = typer.Typer(help="Keys that calls of the service need.", no_args_is_help=True)


@application.callback()
def keys() -> None:
    """Keys that calls of the service need, wherever it is bound beyond loopback."""


@application.command()
def create(
    name: Annotated[str, typer.Argument(help="For whom or what, in words.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="read, write (and read), worker or admin (everything); repeatable. Default: "
            "write.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="After which it is invalid: 12h, 90d. Default: never."),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose is what is stored with it: keys of one owner own together. Default: the "
            "key's name.",
        ),
    ] = None,
    max_pending: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Most unfinished jobs of its owner. Default: HEADROOM_MAX_PENDING_PER_OWNER.",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE", help="Most calls, as 600/minute. Default: HEADROOM_RATE_LIMIT."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a key and print it, once: only a digest of it is stored.

    headroom keys create "CI of the vision team" --owner vision --scope write --expires 90d
    """
    from app.access.keys import Scope, make_key
    from app.access.repository import add_key
    from app.kit.columns import utc_now
    from app.settings import check_rate

    for what, text in (("a name", name), ("an owner", name if owner is None else owner)):
        if not 1 <= len(text) <= 100 or not text.isprintable():
            raise usage_error(f"{what} has 1 to 100 printable characters")
    try:
        rate = check_rate(rate)
    except ValueError as error:
        raise usage_error(f"--rate: {error}") from None
    try:
        wanted = frozenset(Scope(scope) for scope in scopes or ["write"])
    except ValueError as error:
        raise usage_error(f"--scope: {error}; scopes are {', '.join(Scope)}") from None
    expires_at = None if expires is None else utc_now() + parse_duration(expires, "--expires")
    key = make_key()

    async def store() -> dict[str, Any]:
        async with _session() as session:
            row = await add_key(
                session,
                key,
                name,
                wanted,
                expires_at,
                owner=owner,
                max_pending=max_pending,
                rate=rate,
            )
            return _shown(row)

    stored = _run(store())
    if json:
        print_json({**stored, "key": key.text})
        return
    print(key.text)
    err.print(f"Key {key.prefix} ({', '.join(stored['scopes'])}): it is not shown again.")


@application.command(name="list")
def list_(json: JsonOption = False) -> None:
    """Every key, newest first: whose it is, what it permits, its limits, when it was last used."""
    from app.access.repository import all_keys

    async def read() -> list[dict[str, Any]]:
        async with _session() as session:
            return [_shown(row) for row in await all_keys(session)]

    found = _run(read())
    columns = [
        ("Prefix", "prefix"),
        ("Name", "name"),
        ("Owner", "owner"),
        ("Scopes", "scopes"),
        ("State", "state"),
        ("Pending", "max_pending"),
        ("Rate", "rate"),
        ("Expires", "expires_at"),
        ("Last used", "last_used_at"),
    ]
    empty = "No keys. `headroom keys create NAME` makes one."
    print_json(found) if json else out.print(render.listing(columns, found, empty))


@application.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The key's prefix, as `headroom keys list` says.")],
) -> None:
    """Make a key invalid for good; replicas hear of it within 5 s."""
    from app.access.repository import revoke as revoke_key

    async def store() -> dict[str, Any] | None:
        async with _session() as session:
            row = await revoke_key(session, prefix)
            return None if row is None else _shown(row)

    found = _run(store())
    if found is None:
        raise usage_error(f"there is no key {prefix!r}; `headroom keys list` shows them")
    out.print(f"Key {prefix} ({found['name']}) is revoked")


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    from sqlalchemy.exc import OperationalError, ProgrammingError

    try:
        return asyncio.run(work)
    except (OperationalError, ProgrammingError) as error:
        raise usage_error(
            f"the database cannot be used ({error.orig}); run `headroom db upgrade` first"
        ) from None


@asynccontextmanager
async def _session() -> AsyncIterator[Any]:
    from app.database import Database

    database = Database(load_settings().url)
    try:
        async with database.write() as session:
            yield session
    finally:
        await database.close()


def _shown(row: Any) -> dict[str, Any]:
    from app.kit.columns import utc_now

    expired = row.expires_at is not None and row.expires_at <= utc_now()
    state = "revoked" if row.revoked_at is not None else "expired" if expired else "valid"
    return {
        "prefix": row.prefix,
        "name": row.name,
        "owner": row.owner or row.name,
        "scopes": row.scopes,
        "state": state,
        "max_pending": row.max_pending,
        "rate": row.rate,
        "created_at": _minute(row.created_at),
        "expires_at": _minute(row.expires_at),
        "last_used_at": _minute(row.last_used_at),
    }


def _minute(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="minutes")
