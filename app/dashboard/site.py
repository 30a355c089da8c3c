"""Serving the built dashboard: one page for all of its views, and the files that it loads."""

from __future__ import annotations

import os
import re
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUILT = Path(__file__).parent / "static"

# The views of `web/src/app.tsx`, by their addresses. Everything else is the API's to answer.
_VIEW = re.compile(r"/|/new|/(simulations|plans|design-searches|runs)(/\w{1,100})?|/compare")
_ASSETS = "/assets/"
_HASHED = re.compile(r"-[\w-]{8}\.(js|css)(\.br|\.gz)?$")
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Headroom</title>
<h1>Headroom</h1>
<p>The API is at work: <a href="/docs">/docs</a> describes it. The dashboard has not been built:
with Node.js 20 or newer, run <code>make dashboard</code> in the repository, and load this anew.</p>
"""


class Dashboard:
    """Answers what is the dashboard's and passes on all else.

    It stands before the guard: the pages hold no data, and ask for a key where the API wants one.
    """

    def __init__(self, app: ASGIApp, folder: Path = BUILT) -> None:
        self._app = app
        self._folder = folder
        self._files = _Precompressed(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        response = await self._answer(scope) if scope["type"] == "http" else None
        if response is None and _for_a_person(scope):
            await self._or_no_such_page(scope, receive, send)
        else:
            await (response or self._app)(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            return None
        if _VIEW.fullmatch(path):
            return await self._page(scope)
        if not path.startswith(_ASSETS):
            return None
        response = await self._file(path, scope)
        if response is not None:
            response.headers["Cache-Control"] = _FOR_EVER if _HASHED.search(path) else _ASK_AGAIN
        return response

    async def _or_no_such_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the API answers; where it has nothing, the page, which says so and leads on."""
        missing = False

        async def pass_on(message: Message) -> None:
            nonlocal missing
            missing = missing or message.get("status") == 404
            if not missing:
                await send(message)

        await self._app(scope, receive, pass_on)
        if missing:
            page = self._folder / "index.html"
            text = page.read_text() if page.exists() else _NOT_BUILT
            await _as_page(HTMLResponse(text, 404))(scope, receive, send)

    async def _page(self, scope: Scope) -> Response:
        return _as_page(await self._file("/index.html", scope) or HTMLResponse(_NOT_BUILT))

    async def _file(self, path: str, scope: Scope) -> Response | None:
        """Of the folder; None where there is no such file, or no folder."""
        try:
            return await self._files.get_response(path.lstrip("/"), scope)
        except HTTPException:
            return None


def _as_page(response: Response) -> Response:
    response.headers["Cache-Control"] = _ASK_AGAIN
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _for_a_person(scope: Scope) -> bool:
    """Whether an address is opened by a browser, which asks for pages, and is not of the API."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].startswith("/v1/"):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


class _Precompressed(StaticFiles):
    """Files that lie compressed beside themselves, as `web/vite.config.ts` leaves them."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The smallest form that the client takes."""
        accepted = _accepted(Headers(scope=scope).get("accept-encoding", ""))
        for encoding, suffix in _ENCODINGS:
            compressed = f"{os.fspath(full_path)}{suffix}"
            if encoding in accepted and os.path.isfile(compressed):
                stat = os.stat(compressed)
                response = super().file_response(compressed, stat, scope, status_code)
                response.headers["Content-Encoding"] = encoding
                break
        else:
            response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Vary"] = "Accept-Encoding"
        return response


def _accepted(header: str) -> set[str]:
    """Names of the codings in an Accept-Encoding header, without those of weight 0."""
    parts = (part.partition(";") for part in header.lower().split(","))
    return {name.strip() for name, _, weight in parts if weight.strip() not in ("q=0", "q=0.0")}
