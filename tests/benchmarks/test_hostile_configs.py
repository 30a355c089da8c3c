"""A sample of the model types; all of them are examined by the script itself, in minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hostile_configs import _FIELDS

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ["align", "bert", "encoder-decoder", "gpt2", "llava", "timm_wrapper", "vit"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """In a process of its own: an audit hook stays for good."""
    out = tmp_path_factory.mktemp("hostile") / "found.json"
    command = [sys.executable, "-m", "benchmarks.hostile_configs", "--build", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([*command, "--types", *SAMPLE], cwd=ROOT, env=environment, timeout=300)
    return {each["model_type"]: each for each in json.loads(out.read_text())}


@pytest.mark.parametrize("model_type", SAMPLE)
def test_no_field_makes_the_library_reach_out(found, model_type):
    assert found[model_type]["touched"] == []
    assert found[model_type]["crashed"] == []
    assert found[model_type]["refused"] >= 30
    assert found[model_type]["refused"] + len(found[model_type]["accepted"]) == len(_FIELDS)


def test_the_hook_sees_what_it_is_for(tmp_path):
    code = f"""
import socket, subprocess, sys
from benchmarks.audit import Audit
audit = Audit()
with audit.watch():
    socket.socket()
    subprocess.run(["true"])
    open({str(tmp_path / "written")!r}, "w").close()
    open("/etc/passwd").close()
    open(sys.modules["os"].__file__).close()
print(*audit.touched, sep="\\n")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    seen = ran.stdout
    assert "socket.__new__" in seen
    assert "subprocess.Popen" in seen
    assert "written" in seen
    assert "/etc/passwd" in seen
    assert "os.py" not in seen
