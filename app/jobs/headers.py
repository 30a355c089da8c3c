"""Request headers and parameters that several endpoints read."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="makes repeating this POST safe: the same key and body give the same resource",
    ),
]
PreferHeader = Annotated[
    str | None,
    Header(
        max_length=500,
        description="`wait=<seconds>`, or `respond-async` for an answer at once (RFC 7240)",
        examples=["wait=30", "respond-async"],
    ),
]
IfNoneMatchHeader = Annotated[
    str | None, Header(max_length=500, description="an ETag: answers 304 while it is still right")
]
SharedQuery = Annotated[
    bool | None,
    Query(description="whether everybody is to see it; default: as the service is set"),
]
