"""What a call can raise."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Base of every error of the client."""


class NotReached(ClientError):
    """No service answered at the address, also after repeating."""


class ServiceError(ClientError):
    """The service answered with a problem (RFC 9457).

    Attributes:
        status: of the HTTP answer.
        problem: the whole object; of invalid requests, its `errors` name each field.
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(str(problem.get("detail") or problem.get("title") or f"HTTP {status}"))


class JobFailed(ClientError):
    """What was asked for has ended without a result: it failed or was cancelled.

    Attributes:
        resource: the job as it ended, with its `problem`.
    """

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        problem = resource.get("problem") or {}
        why = problem.get("detail") or problem.get("title")
        super().__init__(f"{resource.get('id')} has {resource.get('status')}: {why or 'no reason'}")
