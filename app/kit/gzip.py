"""Compression of the answers that are long series of numbers or names, for clients that take it."""

from __future__ import annotations

import re

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

# Others are small, files compressed inside, or go to many callers at once: they stay as they are.
_LONG = re.compile(r"/v1/(models|\w+/\w+/(timeline|peak|graph))|/openapi\.json")
_LEVEL = 3  # of 9: higher ones take several times as long for a tenth less
_LEAST_BYTES = 4_096


class CompressLong:
    """Gzip around timelines, peaks, graphs, the catalogue of models and the API's description."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressed = GZipMiddleware(app, minimum_size=_LEAST_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        long = scope["type"] == "http" and _LONG.fullmatch(scope["path"])
        await (self._compressed if long else self._app)(scope, receive, send)
