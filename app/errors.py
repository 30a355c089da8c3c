"""Errors of the service itself, beside those of `planner.errors`."""

from __future__ import annotations

from planner.errors import HeadroomError, InvalidRequest


class NotFound(HeadroomError):
    """There is no such resource."""

    type = "not-found"
    title = "There is no such resource"


class Forbidden(HeadroomError):
    """The key permits such calls, but not this one: what it is about is another's."""

    type = "forbidden"
    title = "The key does not permit this"


class QuotaExceeded(HeadroomError):
    """The owner has as many unfinished jobs as are allowed."""

    type = "quota-exceeded"
    title = "As many jobs as are allowed are unfinished"

    def __init__(self, detail: str, limit: int, retry_after_s: int) -> None:
        super().__init__(detail, limit=limit)
        self.retry_after_s = retry_after_s


class Conflict(HeadroomError):
    """The resource's state does not allow it now."""

    type = "conflict"
    title = "The state of the resource does not allow this"


class IdempotencyKeyReused(HeadroomError):
    """The key was given before, with another body."""

    type = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"


class NotReady(HeadroomError):
    """The service cannot do its work now; trying again later may help."""

    type = "not-ready"
    title = "The service is not ready"


class NotMigrated(HeadroomError):
    """This version does not work on the database's schema. Remedy: `headroom db upgrade`, or where
    it is a newer version's that version; `headroom db status` tells which."""

    type = "not-migrated"
    title = "This version does not work on the database's schema; see `headroom db status`"


class SchemaTooNew(HeadroomError):
    """A newer version migrated the database, and this one cannot work on it. Remedy: that version,
    or a later one."""

    type = "schema-too-new"
    title = "The database belongs to a newer version"


class SessionOver(HeadroomError):
    """The worker is not attached, or no more. Remedy: attach again."""

    type = "session-over"
    title = "The worker is not attached; attach it again"


class LeaseOver(HeadroomError):
    """The job is not this lease's any more: nothing is taken of what is said about it."""

    type = "lease-over"
    title = "The lease is over; stop the work on it"


class WorkerIdTaken(HeadroomError):
    """Another worker with this id lives."""

    type = "worker-id-taken"
    title = "Another worker has this id"


class DeviceUnusable(HeadroomError):
    """The worker's card cannot be used by this build of torch, or not now."""

    type = "device-unusable"
    title = "The worker cannot use its device"


class InvalidParameter(InvalidRequest):
    """A query, path or header parameter is wrong."""

    def __init__(self, parameter: str, detail: str, remedy: str) -> None:
        super().__init__([])
        self.detail = f"{parameter}: {detail}"
        self.extra = {
            "errors": [{"parameter": parameter, "detail": detail, "remedy": remedy}],
        }
