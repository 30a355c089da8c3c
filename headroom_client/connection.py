"""What both clients need to reach a service: address, key, and how answers are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import BaseModel

from headroom_client.errors import ClientError
from headroom_client.flows import Answer, Call
from headroom_client.resources import Job

Body = BaseModel | Mapping[str, Any]
DEFAULT_URL = "http://127.0.0.1:8000"
_ANSWER_S = 30.0
_PATHS = {
    "sim": "/v1/simulations",
    "plan": "/v1/plans",
    "run": "/v1/runs",
    "sweep": "/v1/sweeps",
    "search": "/v1/design-searches",
}


@dataclass(frozen=True)
class Connection:
    """Where the service is, and how it is spoken to.

    Attributes:
        url: default: the variable HEADROOM_SERVER, else this machine.
        key: default: the variable HEADROOM_API_KEY, else none.
        timeout: seconds that an answer may take beyond what the service was asked to wait.
        retries: how often a call is repeated while the service is away or overloaded.
    """

    url: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout: float = _ANSWER_S
    retries: int = 5

    def options(self) -> dict[str, Any]:
        """Arguments of an HTTP client."""
        url = self.url or os.environ.get("HEADROOM_SERVER") or DEFAULT_URL
        key = self.key or os.environ.get("HEADROOM_API_KEY")
        headers = {} if not key else {"Authorization": f"Bearer {key}"}
        return {"base_url": url.rstrip("/"), "headers": headers, "timeout": self.timeout + 20}


def arguments(call: Call) -> dict[str, Any]:
    """A call as arguments of the HTTP client's `request`."""
    return {
        "method": call.method,
        "url": call.path,
        "json": call.body,
        "params": dict(call.parameters),
        "headers": dict(call.headers),
    }


def answer_of(response: httpx2.Response, call: Call) -> Answer:
    """What a response says."""
    content: Any = response.content
    if not (call.raw and response.is_success):
        try:
            content = response.json() if response.content else None
        except ValueError:
            content = {
                "type": "about:blank",
                "title": f"{response.status_code} {response.reason_phrase}",
                "detail": f"{response.url} answered {response.status_code} without JSON; "
                "is it a Headroom service?",
            }
            return Answer(response.status_code if response.is_error else 502, content)
    return Answer(
        response.status_code, content, {k.lower(): v for k, v in response.headers.items()}
    )


def no_answer(url: object, error: Exception) -> Answer:
    """What is known where nothing came back."""
    return Answer(0, f"no Headroom service answers at {url} ({type(error).__name__} {error})")


def json_of(body: Body) -> Any:
    """A body as JSON-ready data."""
    return body.model_dump(mode="json") if isinstance(body, BaseModel) else dict(body)


def id_of(of: Job | str) -> str:
    """The id of a job, which may be given for it."""
    return of if isinstance(of, str) else of.id


def path_of(resource_id: str) -> str:
    """Where a simulation, plan, run, sweep or design search lives, by the prefix of its id.

    Raises:
        ClientError: the id is of none of them.
    """
    prefix = resource_id.partition("_")[0]
    if prefix not in _PATHS or not resource_id.replace("_", "").isalnum():
        raise ClientError(
            f"{resource_id[:60]!r} is no id of a simulation, plan, run, sweep or search"
        )
    return f"{_PATHS[prefix]}/{resource_id}"
