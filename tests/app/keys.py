"""Keys of the tests, and a service that asks for them."""

from __future__ import annotations

from starlette.testclient import TestClient

from app.access.keys import Scope, make_key
from app.access.repository import add_key
from app.database import Database
from app.main import create_app
from app.settings import Settings
from tests.app.fakes import accept


def guarded_app(settings: Settings, **changes):
    """The API as it is beyond loopback."""
    settings = settings.model_copy(update={"auth": "on", **changes})
    return create_app(settings, check=accept, check_plan=accept, check_design_search=accept)


async def headers_of(database: Database, *scopes: str, owner: str = "x", **limits):
    """Headers with a new key of the owner."""
    key = make_key()
    wanted = frozenset(map(Scope, scopes or ("write",)))
    async with database.write() as session:
        await add_key(session, key, f"a key of {owner}", wanted, None, owner=owner, **limits)
    return {"Authorization": f"Bearer {key.text}"}


class As:
    """A client that sends a key with every call."""

    def __init__(self, client: TestClient, headers: dict[str, str]) -> None:
        self._client = client
        self.headers = headers

    def __getattr__(self, method: str):
        call = getattr(self._client, method)
        return lambda *url, headers=None, **rest: call(
            *url, headers={**self.headers, **(headers or {})}, **rest
        )
