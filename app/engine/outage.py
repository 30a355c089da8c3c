"""Outlasting a database that is away: what a worker has measured is worth the wait."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from app.kit.outages import may_pass

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def outlasting(
    transaction: Callable[Arguments, Awaitable[Result]],
) -> Callable[Arguments, Coroutine[Any, Any, Result]]:
    """Repeat a transaction until the database answers. It must bear being done twice: whether a
    commit that was cut off took effect is not known.
    """

    @functools.wraps(transaction)
    async def patient(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await transaction(*args, **kwargs)
            except Exception as error:
                if not may_pass(error):
                    raise
                words = str(error).splitlines()[0]
                _log.warning("the database is away (%s); again in %.1f s", words, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    return patient
