"""A disk of a test's own, small enough to be filled."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Disk:
    """A file system of a few MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room, neither for bytes nor for further files."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (2**16, 2**12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        with suppress(OSError):
            for number in itertools.count():
                (self.folder / f"filler-{number}").touch()

    def clear(self) -> None:
        """Make room again."""
        for path in self.folder.glob("filler*"):
            path.unlink()


@contextmanager
def disk(folder: Path, mib: int) -> Iterator[Disk]:
    """A file system in the folder as long as the block lasts; skips the test where not allowed."""
    folder.mkdir(exist_ok=True)
    options = f"size={mib}m,nr_inodes=200,mode=700,uid={os.getuid()}"
    command = ["mount", "-t", "tmpfs", "-o", options, "headroom-test", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("NO SMALL DISK: there is no command `mount`")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"NO SMALL DISK: {error.stderr.decode(errors='replace').strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)
