"""Reading JSON bodies strictly: no NaN, lone surrogates, NUL characters or deep nests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pydantic_core
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

# An escaped NUL, the backslash itself not escaped. PostgreSQL can store none.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class StrictJsonRequest(Request):
    """A request whose `json()` refuses what cannot be stored and returned again as JSON."""

    async def json(self) -> Any:
        """The parsed body.

        Raises:
            json.JSONDecodeError: says what is wrong, and FastAPI makes a validation error of it.
        """
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body())
        return self._json


class StrictJsonRoute(APIRoute):
    """A route that reads its body with `StrictJsonRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the request before FastAPI reads it."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            coding = request.headers.get("content-encoding", "identity")
            if coding.lower() not in ("", "identity"):
                # A small body could become a huge one; RFC 9110 (15.5.16) has 415 for it.
                raise HTTPException(415, "compressed bodies are not accepted; send it as it is")
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return strictly


def parse_json(body: bytes) -> Any:
    """Parse JSON; nesting beyond about 200 levels is refused by the parser.

    Raises:
        json.JSONDecodeError: not JSON in the strict sense.
    """
    try:
        value = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise json.JSONDecodeError(str(error), "", 0) from error
    if _NUL.search(body):
        raise json.JSONDecodeError("a string holds the character NUL", "", 0)
    return value
