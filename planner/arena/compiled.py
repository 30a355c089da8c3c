"""Functions compiled to machine code by numba at their first call, and cached on disk after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code that runs without the interpreter's lock."""
    try:
        dispatcher = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither this folder nor the user's cache folder can be written to
        dispatcher = numba.njit(nogil=True)(function)
    return cast(Function, dispatcher)
