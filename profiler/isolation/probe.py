"""What this machine can separate a child by, found out by a process that tries it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

from planner.errors import WorkerCrashed
from profiler.isolation import Isolation, IsolationUnavailable, Mode, shut_in

_SECONDS = 60.0


def probe(mode: Mode) -> Isolation:
    """The isolation of this machine's children.

    Raises:
        IsolationUnavailable: mode is `required` and a layer cannot be had.
        WorkerCrashed: the process that tried it ended in another way.
    """
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    with tempfile.TemporaryDirectory(prefix="headroom-") as scratch:
        tried = subprocess.run(
            [sys.executable, "-m", "profiler.isolation.probe", mode, scratch],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    if tried.returncode != 0:
        raise WorkerCrashed(f"no process could be isolated: {tried.stderr.strip()[-500:]}")
    found = json.loads(tried.stdout)
    if "problem" in found:
        raise IsolationUnavailable(found["problem"])
    return Isolation(**found)


def _main(mode: str, scratch: str) -> None:
    try:
        found = shut_in(Path(scratch), os.getppid(), cast(Mode, mode), card=False).to_json()
    except IsolationUnavailable as error:
        found = {"problem": error.detail}
    print(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
