"""Refusing large bodies with a problem."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.kit.problems import HTTP_PROBLEMS, response

_MOST_DISCARDED_BYTES = 512 * 1024**2
_LONGEST_DISCARD_S = 10.0


class BodyLimit:
    """Answers 413 to a body over the limit, whether it declares its length or not.

    What still comes of such a body is read and thrown away, within bounds: many clients send all
    before they listen, and would see a broken connection instead of the answer. FastAPI's own
    `max_body_size` does not, and answers in plain text.
    """

    def __init__(
        self,
        app: ASGIApp,
        most_bytes: int,
        others: Sequence[tuple[re.Pattern[str], int]] = (),
    ) -> None:
        """Wrap the application.

        Args:
            most_bytes: largest body.
            others: paths that have another limit.
        """
        self._app = app
        self._most_bytes = most_bytes
        self._others = others

    def _most_of(self, path: str) -> int:
        found = (most for paths, most in self._others if paths.fullmatch(path))
        return next(found, self._most_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most_bytes = self._most_of(scope["path"])
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        detail = f"at most {most_bytes} bytes are accepted"
        if length.isascii() and length.isdigit() and int(length[:20]) > most_bytes:
            if headers.get("expect", "").lower() != "100-continue":
                await _discard(receive)
            kind, title = HTTP_PROBLEMS[413]
            problem = {"type": kind, "title": title, "detail": detail}
            await response(problem, 413)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most_bytes:
                if message.get("more_body"):
                    await _discard(receive)
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)


async def _discard(receive: Receive) -> None:
    """Read the rest of a body, but not for ever."""
    discarded = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_DISCARD_S):
            while discarded < _MOST_DISCARDED_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
