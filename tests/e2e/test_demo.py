"""`make demo`, but for the installation."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import psutil
import pytest


def processes_with(variable, value):
    """Command lines of the living processes whose environment has the variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_the_demo_predicts_runs_compares_and_leaves_nothing_running():
    mark = uuid.uuid4().hex
    finished = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo"],
        env={**os.environ, "DEMO_MARK": mark},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stderr
    assert "whole workload" in finished.stdout
    assert "headroom serve" in finished.stdout
    assert "/docs" in finished.stdout
    assert processes_with("DEMO_MARK", mark) == []
