"""Labels of workers, as requests write them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Label = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]*$")
]
LabelName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_.-]*$")]
