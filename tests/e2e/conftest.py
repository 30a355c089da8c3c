"""A real service with a real worker, shared by everything in this folder."""

from __future__ import annotations

import pytest

from app.cli.embedded import embedded_service


@pytest.fixture(scope="package")
def service():
    """`headroom serve` as a child on a free port; a client of it."""
    with embedded_service() as server:
        yield server
