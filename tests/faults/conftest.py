from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.conftest import (  # noqa: F401 (fixtures)
    client,
    database,
    postgres_url,
    settings,
    sqlite_settings,
    sqlite_template,
)
from tests.faults.fleet import Fleet


@pytest.fixture
def fleet(settings, tmp_path) -> Iterator[Fleet]:  # noqa: F811
    with Fleet(settings, tmp_path) as fleet:
        yield fleet
