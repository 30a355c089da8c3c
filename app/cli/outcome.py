"""From what came back to an exit code."""

from __future__ import annotations

from typing import Any

from app.cli.errors import CliError, ExitCode


def require_succeeded(resource: dict[str, Any]) -> None:
    """Go on only with a resource that has its result.

    Raises:
        CliError: it failed, ran out of memory or was cancelled; carries the resource's problem.
    """
    status = resource["status"]
    if status == "succeeded":
        return
    problem = resource.get("problem") or {"type": "about:blank", "title": f"It has {status}"}
    message = str(problem.get("detail") or problem.get("title"))
    if status == "out_of_memory":
        raise CliError(message, ExitCode.DOES_NOT_FIT, problem)
    refused = problem.get("type", "").rpartition("/")[2] == "invalid-request"
    raise CliError(message, ExitCode.USAGE if refused else ExitCode.FAILURE, problem)


def needed_bytes(prediction: dict[str, Any]) -> int:
    """What the device must have: the largest of the numbers that are known."""
    known = [prediction.get(name) for name in ("device_bytes", "reserved_bytes", "peak_bytes")]
    return max(count for count in known if isinstance(count, int))


def fits(prediction: dict[str, Any], memory_bytes: int | None) -> bool:
    """Whether the device holds it; a device without a known capacity holds anything."""
    return memory_bytes is None or needed_bytes(prediction) <= memory_bytes
