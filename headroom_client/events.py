"""Reading server-sent events (WHATWG HTML, section 9.2), and going on after a broken connection."""

from __future__ import annotations

import json
from typing import Any

from headroom_client.errors import NotReached, ServiceError
from headroom_client.flows import Answer
from headroom_client.resources import Event


class EventStream:
    """Where a stream of events is: what to ask for, and what its lines say."""

    def __init__(
        self, kind: str | None, resource_id: str | None, after: str | None, retries: int
    ) -> None:
        self._parameters = {"kind": kind, "resource_id": resource_id}
        self._last_id = after
        self._retries = retries
        self._failures = 0
        self._fields: dict[str, str] = {}

    def arguments(self) -> dict[str, Any]:
        """Arguments of the HTTP client's `stream`. The service sends comments all the time, so
        silence for a minute is a broken connection.
        """
        headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        parameters = {name: value for name, value in self._parameters.items() if value is not None}
        return {"params": parameters, "headers": headers, "timeout": 60.0}

    def feed(self, line: str) -> Event | None:
        """Take one line; the event that it completes, if it does."""
        self._failures = 0
        if line:
            name, _, value = line.partition(":")
            if name:  # an empty name is a comment
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        self._last_id = fields.get("id", self._last_id)
        kind = fields.get("event", "message")
        return Event(id=self._last_id or "", kind=kind, data=json.loads(fields["data"]))

    def refused(self, answer: Answer) -> None:
        """The service answered with a problem instead of events.

        Raises:
            ServiceError: and it will again.
        """
        self._failures += 1
        if answer.status not in (429, 502, 503, 504) or self._failures > self._retries:
            problem = answer.content if isinstance(answer.content, dict) else {}
            raise ServiceError(answer.status, problem)

    def broke(self, answer: Answer) -> None:
        """The connection broke, or could not be made.

        Raises:
            NotReached: too often in a row.
        """
        self._fields = {}
        self._failures += 1
        if self._failures > self._retries:
            raise NotReached(str(answer.content))

    def pause(self) -> float:
        """Seconds to wait before the next connection."""
        return min(10.0, 0.25 * 2.0**self._failures)
