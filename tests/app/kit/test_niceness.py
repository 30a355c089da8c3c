from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
AUTOGROUP = Path("/proc/self/autogroup")
SCRIPT = """
import os
from pathlib import Path
from app.kit.niceness import yield_to_others
yield_to_others(3)
group = Path("/proc/self/autogroup")
# Empty for a process of the first session, or of a cgroup with processor shares of its own.
words = group.read_text().split() if group.exists() else []
print(os.nice(0), words[-1] if words else "none")
"""


def numbers(**options) -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, check=True, **options
    )
    return answer.stdout.decode().split()


def test_a_session_of_its_own_yields_as_a_whole():
    niceness, group = numbers(start_new_session=True)
    assert int(niceness) == min(os.nice(0) + 3, 19)
    if group == "none":
        pytest.skip("the kernel does not group this session")
    assert group == niceness


def test_the_session_of_others_is_left_alone():
    before = AUTOGROUP.read_text().split() if AUTOGROUP.exists() else []
    niceness, group = numbers()
    assert int(niceness) == min(os.nice(0) + 3, 19)
    assert group == (before[-1] if before else "none")
