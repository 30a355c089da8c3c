from __future__ import annotations

import pytest

from app.kit.preferences import seconds_to_wait


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 30),
        ("", 30),
        ("wait=5", 5),
        ("Wait = 5", 5),
        ('wait="5"', 5),
        ("wait=0", 0),
        ("wait=99999", 120),
        ("wait=-1", 30),
        ("wait=soon", 30),
        ("respond-async", 0),
        ("respond-async, wait=5", 5),
        ("wait=5, respond-async", 5),
        ("handling=strict, wait=7; x=1", 7),
    ],
)
def test_the_wait_that_a_client_prefers(prefer, seconds):
    assert seconds_to_wait(prefer, 30, 120) == seconds
