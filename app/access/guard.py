"""The guard in front of every call: who asks, may they, and how often."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from asgi_correlation_id import correlation_id
from limits import RateLimitItem
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from app.access import keys, repository
from app.access.keys import Identity
from app.access.rates import Rates, Standing
from app.context import Context
from app.kit.outages import AWAY
from app.kit.problems import HTTP_PROBLEMS, database_away, response
from app.models import AuditEntry

_log = logging.getLogger(__name__)
# What anyone may see: whether the service lives, and how to ask it. All else needs a key, also
# what is added later.
OPEN = frozenset({"/", "/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/openapi.json"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
# What an answer says depends on the key, so no cache between may keep it for another.
_PRIVATE = "private, no-cache"
_REMEMBERED_S = 5.0
_REMEMBERED = 1_000


@dataclass(frozen=True)
class _Refusal:
    status: int
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Verdict:
    """What the guard found of a call.

    Attributes:
        headers: for the answer, whatever it will be.
    """

    identity: Identity | None
    refusal: _Refusal | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Guard:
    """Asks for a key, looks whether it permits the call, counts calls, and notes writes.

    Calls of workers are not counted, and noted only where they are refused.

    A key that is given is looked at even where none is required: a revoked one is refused. What
    was found of a key is remembered for 5 s, so a revocation takes as long to be heard of by every
    replica. Rates are counted by each replica for itself.

    Args:
        required: whether calls without a key are refused.
        rate: calls of one key (or of one address, without keys) within a time; None: any number.
            A key may have a rate of its own.
    """

    def __init__(self, app: ASGIApp, required: bool, rate: RateLimitItem | None) -> None:
        self._app = app
        self._required = required
        self._rates = Rates(rate)
        self._known: dict[str, tuple[float, Identity | None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "websocket":
            # The service has none; one that is added has to be let in here first.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        context: Context = scope["app"].state.context
        try:
            verdict = await self._judge(scope, context)
        except AWAY as error:
            await database_away(error)(scope, receive, send)
            return
        identity = verdict.identity
        if (refusal := verdict.refusal) is not None:
            kind, title = HTTP_PROBLEMS[refusal.status]
            problem = {"type": kind, "title": title, "detail": refusal.detail}
            headers = {**verdict.headers, **refusal.headers}
            await response(problem, refusal.status, headers)(scope, receive, send)
            # Of strangers nothing is stored: they could fill the database.
            if identity is not None:
                await self._note(scope, context, identity, refusal.status, None)
            return
        ended: list[tuple[int, str | None]] = []

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                ended.append((message["status"], headers.get("location")))
                headers.setdefault("Cache-Control", _PRIVATE)
                for name, value in verdict.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        scope.setdefault("state", {})["identity"] = identity
        try:
            await self._app(scope, receive, watched)
        finally:
            status, location = ended[0] if ended else (500, None)
            await self._note(scope, context, identity, status, location)

    async def _judge(self, scope: Scope, context: Context) -> _Verdict:
        given = _given_key(Headers(scope=scope))
        identity = None if given is None else await self._identify(context, given)
        if identity is not None:
            bind_contextvars(key_id=identity.key_id)
        if given is not None and identity is None:
            return _Verdict(None, _unauthorised("the key is unknown, revoked or expired"))
        if identity is None and self._required:
            return _Verdict(
                None,
                _unauthorised(
                    "send a key as `Authorization: Bearer hr_...`, never in the address; "
                    "`headroom keys create` makes one"
                ),
            )
        # Also what is refused below counts, or a client in a loop would not be slowed down.
        standing = await self._standing(scope, identity)
        headers = {} if standing is None else standing.headers()
        if standing is not None and not standing.within:
            detail = f"more than {standing.rate}; try again later"
            return _Verdict(identity, _Refusal(429, detail), headers)
        if identity is not None and not keys.permits(identity.scopes, needed := _needed(scope)):
            refusal = _Refusal(403, f"the key has not the scope {needed.value!r}")
            return _Verdict(identity, refusal, headers)
        return _Verdict(identity, None, headers)

    async def _standing(self, scope: Scope, identity: Identity | None) -> Standing | None:
        if _is_of_worker(scope):  # missed heartbeats would have it taken for dead
            return None
        who = _client(scope) or "unknown" if identity is None else identity.key_id
        return await self._rates.count(who, None if identity is None else identity.rate)

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

    async def _note(
        self,
        scope: Scope,
        context: Context,
        identity: Identity | None,
        status: int,
        location: str | None,
    ) -> None:
        """Writes into the log. An answer that was sent stays one if that fails."""
        is_routine = scope.get("state", {}).get("routine", False) and status < 400
        if scope["method"] in _READING or is_routine:
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


def routine(request: Request) -> None:
    """A dependency of endpoints that are called all the time, as heartbeats are: the log of writes
    has of them only what goes wrong.
    """
    request.state.routine = True


def _given_key(headers: Headers) -> str | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key")


def _needed(scope: Scope) -> keys.Scope:
    if _is_of_worker(scope):
        return keys.Scope.WORKER
    return keys.Scope.READ if scope["method"] in _READING else keys.Scope.WRITE


def _is_of_worker(scope: Scope) -> bool:
    """What only workers call, every few seconds. What they do is told by attempts and events."""
    return bool(scope["path"].startswith("/v1/gateway/"))


def _unauthorised(detail: str) -> _Refusal:
    return _Refusal(401, detail, {"WWW-Authenticate": "Bearer"})


def _client(scope: Scope) -> str | None:
    client = scope.get("client")
    return None if client is None else str(client[0])[:60]
