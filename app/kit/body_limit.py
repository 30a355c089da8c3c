"""Refusing large bodies with a problem."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.kit.problems import HTTP_PROBLEMS, response


class BodyLimit:
    """Answers 413 before anything is read, or at the limit where no length was declared.

    FastAPI's own `max_body_size` does as much, but answers in plain text.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"at most {self._most_bytes} bytes are accepted"
        length = Headers(scope=scope).get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._most_bytes:
            kind, title = HTTP_PROBLEMS[413]
            await response({"type": kind, "title": title, "detail": detail}, 413)(
                scope, receive, send
            )
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)
