"""`make demo`, but for the installation."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest


@pytest.mark.slow
def test_the_demo_predicts_runs_compares_and_leaves_nothing_running():
    before = {process.pid for process in psutil.process_iter()}
    finished = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo"], capture_output=True, text=True, timeout=280
    )
    assert finished.returncode == 0, finished.stderr
    assert "whole workload" in finished.stdout
    assert "headroom serve" in finished.stdout
    assert "/docs" in finished.stdout
    left = [
        process.cmdline()
        for process in psutil.process_iter(["cmdline"])
        if process.pid not in before and "app.engine" in (process.info["cmdline"] or [])
    ]
    assert left == []
