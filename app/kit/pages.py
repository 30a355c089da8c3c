"""Lists a page at a time, newest first, by keyset: no page shifts while others are added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import InvalidParameter

#: Text in a query; PostgreSQL knows no NUL.
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class PageQuery(BaseModel):
    """The query of every list; each adds its filters. Unknown parameters are errors."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(20, ge=1, le=200, description="most items of the page")
    cursor: str | None = Field(
        None, min_length=1, max_length=200, description="`next_cursor` of the page before"
    )

    def after_id(self) -> str | None:
        """The id that the page starts after.

        Raises:
            InvalidParameter: the cursor is not one of ours.
        """
        if self.cursor is None:
            return None
        try:
            data = base64.urlsafe_b64decode(self.cursor.encode("ascii"))
            text = data.decode("ascii")
        except (binascii.Error, ValueError):
            text = ""
        if not text or "\0" in text:
            raise InvalidParameter(
                "cursor", "not a cursor of this list", "pass next_cursor of the page before"
            )
        return text


def encode_cursor(last_id: str) -> str:
    """An opaque cursor that continues after the id."""
    return base64.urlsafe_b64encode(last_id.encode("ascii")).decode("ascii")


async def fetch_page(
    session: AsyncSession,
    statements: Sequence[Select[*tuple[Any, ...]]],
    id_column: Any,
    query: PageQuery,
) -> tuple[list[Any], str | None]:
    """Rows of one page and the cursor of the next, if any. Ids sort by time of creation.

    Args:
        statements: select the same columns, the id among them, of rows that no two have in common;
            the page is of all together. An index that each can walk in the order of ids need not
            serve them as one: SQLite sorts all rows that have one of several values.
    """
    after, most = query.after_id(), query.limit + 1
    if after is not None:
        statements = [each.where(id_column < after) for each in statements]
    newest = [each.order_by(id_column.desc()).limit(most) for each in statements]
    chosen = newest[0]
    if len(newest) > 1:
        together = union_all(*(select(each.subquery()) for each in newest)).subquery()
        chosen = select(together).order_by(together.c.id.desc()).limit(most)
    rows = list((await session.execute(chosen)).all())
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return rows, encode_cursor(rows[-1].id) if more else None
