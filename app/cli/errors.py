"""How a command ends: its exit code, and errors that a person can act on."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

# Statuses that say "what you asked is wrong", as opposed to "it could not be done".
_REFUSALS = frozenset({400, 404, 405, 413, 415, 422})


class ExitCode(IntEnum):
    """What the shell sees. Stable: scripts rely on it."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DOES_NOT_FIT = 3


class CliError(Exception):
    """The command cannot go on; `problem` is an RFC 9457 object where there is one."""

    def __init__(
        self,
        message: str,
        exit_code: ExitCode = ExitCode.FAILURE,
        problem: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.problem = problem or {"type": "about:blank", "title": message}

    @classmethod
    def from_problem(cls, problem: dict[str, Any], status: int | None = None) -> CliError:
        """The error that a problem object describes; a 4xx about the request is a usage error."""
        refused = (status or problem.get("status")) in _REFUSALS
        message = problem.get("detail") or problem.get("title") or "the service gave no reason"
        return cls(str(message), ExitCode.USAGE if refused else ExitCode.FAILURE, problem)


def usage_error(message: str) -> CliError:
    """The command was called with something that cannot be right."""
    return CliError(message, ExitCode.USAGE)
