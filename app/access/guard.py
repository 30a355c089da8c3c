"""The guard in front of every call: who asks, may they, and how often."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from asgi_correlation_id import correlation_id
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import OperationalError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import keys, repository
from app.access.keys import Identity
from app.context import Context
from app.errors import NotReady
from app.kit.problems import HTTP_PROBLEMS, response
from app.models import AuditEntry

_log = logging.getLogger(__name__)
# What anyone may see: whether the service lives, and how to ask it. All else needs a key, also
# what is added later.
OPEN = frozenset({"/", "/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/openapi.json"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_REMEMBERED_S = 5.0
_REMEMBERED = 1_000


@dataclass(frozen=True)
class _Refusal:
    status: int
    detail: str
    headers: dict[str, str]


class Guard:
    """Asks for a key, looks whether it permits the call, counts calls, and notes writes.

    A key that is given is looked at even where none is required: a revoked one is refused. What
    was found of a key is remembered for 5 s, so a revocation takes as long to be heard of by every
    replica. Rates are counted by each replica for itself.

    Args:
        required: whether calls without a key are refused.
        rate: calls of one key (or of one address, without keys) within a time; None: any number.
    """

    def __init__(self, app: ASGIApp, required: bool, rate: RateLimitItem | None) -> None:
        self._app = app
        self._required = required
        self._rate = rate
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._known: dict[str, tuple[float, Identity | None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        try:
            identity, refusal = await self._judge(scope, context)
        except OperationalError:
            _log.exception("the database does not answer")
            away = NotReady("the database does not answer").problem()
            await response(away, 503, {"Retry-After": "5"})(scope, receive, send)
            return
        if refusal is not None:
            kind, title = HTTP_PROBLEMS[refusal.status]
            problem = {"type": kind, "title": title, "detail": refusal.detail}
            await response(problem, refusal.status, refusal.headers)(scope, receive, send)
            # Of strangers nothing is stored: they could fill the database.
            if identity is not None:
                await self._note(scope, context, identity, refusal.status, None)
            return
        ended: list[tuple[int, str | None]] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                ended.append(
                    (message["status"], MutableHeaders(raw=message["headers"]).get("location"))
                )
            await send(message)

        scope.setdefault("state", {})["identity"] = identity
        try:
            await self._app(scope, receive, watched)
        finally:
            status, location = ended[0] if ended else (500, None)
            await self._note(scope, context, identity, status, location)

    async def _judge(
        self, scope: Scope, context: Context
    ) -> tuple[Identity | None, _Refusal | None]:
        given = _given_key(Headers(scope=scope))
        identity = None if given is None else await self._identify(context, given)
        if given is not None and identity is None:
            return None, _unauthorised("the key is unknown, revoked or expired")
        if identity is None and self._required:
            return None, _unauthorised(
                "send a key as `Authorization: Bearer hr_...`; `headroom keys create` makes one"
            )
        if identity is not None and not keys.permits(identity.scopes, needed := _needed(scope)):
            return identity, _Refusal(403, f"the key has not the scope {needed.value!r}", {})
        return identity, await self._over_rate(scope, identity)

    async def _identify(self, context: Context, text: str) -> Identity | None:
        digest, now = keys.digest(text), time.monotonic()
        if (found := self._known.get(digest)) is not None and found[0] > now:
            return found[1]
        async with context.database.read() as session:
            identity = await repository.identify(session, text)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = (now + _REMEMBERED_S, identity)
        if identity is not None:
            async with context.database.write() as session:
                await repository.note_use(session, identity.key_id)
        return identity

    async def _over_rate(self, scope: Scope, identity: Identity | None) -> _Refusal | None:
        if self._rate is None:
            return None
        who = _client(scope) or "unknown" if identity is None else identity.key_id
        if await self._limiter.hit(self._rate, who):
            return None
        window = await self._limiter.get_window_stats(self._rate, who)
        seconds = max(1, round(window.reset_time - time.time()))
        return _Refusal(
            429, f"more than {self._rate}; try again later", {"Retry-After": str(seconds)}
        )

    async def _note(
        self,
        scope: Scope,
        context: Context,
        identity: Identity | None,
        status: int,
        location: str | None,
    ) -> None:
        """Writes into the log. An answer that was sent stays one if that fails."""
        if scope["method"] in _READING:
            return
        entry = AuditEntry(
            key_id=None if identity is None else identity.key_id,
            method=scope["method"][:10],
            path=scope["path"][:300].replace("\0", ""),
            status=status,
            location=location,
            client=_client(scope),
            request_id=(correlation_id.get() or "")[:60] or None,
        )
        try:
            async with context.database.write() as session:
                session.add(entry)
        except Exception:
            _log.exception("a write could not be noted: %s %r", entry.method, entry.path)


def _given_key(headers: Headers) -> str | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key")


def _needed(scope: Scope) -> keys.Scope:
    if scope["path"].startswith("/v1/lease"):
        return keys.Scope.WORKER
    return keys.Scope.READ if scope["method"] in _READING else keys.Scope.WRITE


def _unauthorised(detail: str) -> _Refusal:
    return _Refusal(401, detail, {"WWW-Authenticate": "Bearer"})


def _client(scope: Scope) -> str | None:
    client = scope.get("client")
    return None if client is None else str(client[0])[:60]
