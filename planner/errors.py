"""Errors that a caller can act on. Each knows its stable problem `type`; only the HTTP layer knows
status codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with a request: where (JSON pointer, RFC 6901), what, and how to mend it."""

    pointer: str
    detail: str
    remedy: str | None = None


MAX_ERRORS = 100
"""Most things that one answer says are wrong with a request."""

_LONGEST_TEXT = 1_000  # of a pointer or a detail: libraries quote values whole


class HeadroomError(Exception):
    """Base of every error with a meaning for the user."""

    type: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong inside Headroom"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The error as a problem object (RFC 9457) without status, JSON-ready."""
        return {"type": self.type, "title": self.title, "detail": self.detail, **self.extra}


class InvalidRequest(HeadroomError):
    """The request itself is wrong: nothing was stored or started."""

    type = "invalid-request"
    title = "The request is not valid"

    def __init__(self, errors: list[FieldProblem]) -> None:
        """Of many problems the first `MAX_ERRORS` are kept, and long texts are cut."""
        self.errors = [
            replace(error, pointer=shortened(error.pointer), detail=shortened(error.detail))
            for error in errors[:MAX_ERRORS]
        ]
        details = [f"{error.pointer}: {error.detail}" for error in self.errors]
        super().__init__(
            joined(details, len(errors)), errors=[asdict(error) for error in self.errors]
        )

    @classmethod
    def at(cls, pointer: str, detail: str, remedy: str | None = None) -> InvalidRequest:
        """The error for one field."""
        return cls([FieldProblem(pointer, detail, remedy)])


def joined(details: Sequence[str], count: int) -> str:
    """What is wrong, in one sentence that says how many of `count` it leaves out."""
    more = [f"and {count - len(details)} more"] if count > len(details) else []
    return "; ".join([*details, *more])


def shortened(text: str) -> str:
    """A text that may quote what a stranger sent, at a length that can be shown."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 3]}..."


class ModelBuildFailed(HeadroomError):
    """The library refused to build the model from this description."""

    type = "model-build-failed"
    title = "The model cannot be built from this description"


class StepFailed(HeadroomError):
    """The model was built, but its own step raises for this workload."""

    type = "step-failed"
    title = "The model's step fails for this workload"


class StrategyMismatch(HeadroomError):
    """The strategy was made for another model, or asks for what this one cannot do."""

    type = "strategy-mismatch"
    title = "The strategy does not fit this model"


class LimitExceeded(HeadroomError):
    """The work passed a limit of the service (time, memory, ops, parameters)."""

    type = "limit-exceeded"
    title = "The work is larger than this service allows"


class StorageFull(HeadroomError):
    """A disk of the service has no room left. Nothing is stored by halves."""

    type = "storage-full"
    title = "A disk of the service is full"


class WorkerCrashed(HeadroomError):
    """The child process ended without an answer."""

    type = "worker-crashed"
    title = "The process doing the work ended without an answer"
