"""A PostgreSQL server of the tests' own, from the binaries at hand. Never one that runs already."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Whatever is killed here, the machine under the server's files lives on.
OPTIONS = "-c fsync=off -c max_connections=200"


def binaries() -> Path | None:
    """The folder of `pg_ctl` and `initdb`: the newest of Debian's, or that on the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "pg_ctl").exists():
            return folder
    found = shutil.which("pg_ctl")
    return Path(found).resolve().parent if found else None


class Cluster:
    """A server of its own data folder that can be stopped and started again."""

    def __init__(self, folder: Path, address: str = "", options: str = OPTIONS) -> None:
        """Make the data folder; nothing runs yet.

        Args:
            folder: of the binaries.
            address: where it listens besides its socket; default: nowhere.
            options: of the server.
        """
        self.data = Path(tempfile.mkdtemp(prefix="headroom-pg-"))
        self._folder = folder
        self._address = address
        self._options = options
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; Debian's package brings this user.
            owner = pwd.getpwnam("postgres")
            os.chown(self.data, owner.pw_uid, owner.pw_gid)
            self._prefix = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "-D", self._cluster, "-U", "postgres", "--auth=trust", "-E", "UTF8")

    @property
    def url(self) -> str:
        """Through its socket."""
        return f"postgresql://postgres@/postgres?host={self.data}"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = f"-c listen_addresses='{self._address}' -k {self.data} {self._options}"
        log = str(self.data / "log")
        self._run("pg_ctl", "-D", self._cluster, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """As if it was killed: sessions are cut off, and it recovers at its next start."""
        self._run("pg_ctl", "-D", self._cluster, "-m", "immediate", "stop")

    def allow(self, network: str) -> None:
        """Let hosts of a network in, from the next start on."""
        with (Path(self._cluster) / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} trust\n")

    @property
    def _cluster(self) -> str:
        return str(self.data / "cluster")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._folder / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self.data, timeout=60)


@contextmanager
def cluster(folder: Path, address: str = "", options: str = OPTIONS) -> Iterator[Cluster]:
    """A server that runs already; its data are deleted afterwards."""
    cluster = Cluster(folder, address, options)
    try:
        cluster.start()
        yield cluster
    finally:
        with suppress(subprocess.CalledProcessError):  # it may be stopped
            cluster.stop()
        shutil.rmtree(cluster.data, ignore_errors=True)


@contextmanager
def server(folder: Path, options: str = OPTIONS) -> Iterator[str]:
    """A running server that listens on a socket in its data folder only; yields its URL."""
    with cluster(folder, options=options) as running:
        yield running.url
