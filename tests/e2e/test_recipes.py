"""The recipes of the documentation, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text()
SHELL = re.findall(r"<!-- tried -->\n```bash\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", SHELL, ids=lambda block: " ".join(block.split()[:3]))
def test_commands(service, block, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "HEADROOM_SERVER": service.url},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stderr
    if "it does not fit" in block:
        assert "exit code 3" in finished.stdout


def test_python():
    (code,) = re.findall(r"<!-- tried: python -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(compile(code, "recipes.md", "exec"), names)
    names["test_the_training_step_keeps_within_its_memory"]()
