"""A PostgreSQL server of the tests' own, from the binaries at hand. Never one that runs already."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """The folder of `pg_ctl` and `initdb`: the newest of Debian's, or that on the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "pg_ctl").exists():
            return folder
    found = shutil.which("pg_ctl")
    return Path(found).resolve().parent if found else None


@contextmanager
def server(folder: Path, options: str = "-c fsync=off -c max_connections=200") -> Iterator[str]:
    """A running server that listens on a socket in its data folder only; yields its URL."""
    data = Path(tempfile.mkdtemp(prefix="headroom-pg-"))
    prefix: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; Debian's package brings this user.
        owner = pwd.getpwnam("postgres")
        os.chown(data, owner.pw_uid, owner.pw_gid)
        prefix = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*prefix, *command], check=True, capture_output=True, cwd=data, timeout=60)

    cluster = str(data / "cluster")
    run(str(folder / "initdb"), "-D", cluster, "-U", "postgres", "--auth=trust", "-E", "UTF8")
    options = f"-c listen_addresses='' -k {data} {options}"
    pg_ctl = str(folder / "pg_ctl")
    run(pg_ctl, "-D", cluster, "-w", "-l", str(data / "log"), "-o", options, "start")
    try:
        yield f"postgresql://postgres@/postgres?host={data}"
    finally:
        run(pg_ctl, "-D", cluster, "-m", "immediate", "stop")
        shutil.rmtree(data, ignore_errors=True)
