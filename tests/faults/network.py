"""A host of its own for a process, in a network that can be cut: a namespace and a veth pair."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class NotPermitted(Exception):
    """Network namespaces cannot be made here; the message says why."""


class Network:
    """Two hosts, this one and another, and the cable between them."""

    def __init__(self) -> None:
        number = os.getpid() % 16_000
        self._name = f"headroom-{number}"
        self._here, self._there = f"hr{number}a", f"hr{number}b"
        # Of the addresses for documentation and benchmarks (RFC 2544), a pair for each process.
        third, fourth = divmod(number * 4, 256)
        self.network = f"198.18.{third}.{fourth}/30"
        self.address = f"198.18.{third}.{fourth + 1}"
        """Of this host."""
        self._other = f"198.18.{third}.{fourth + 2}"

    @property
    def prefix(self) -> tuple[str, ...]:
        """Makes a command one that runs on the other host."""
        return ("ip", "netns", "exec", self._name)

    def cut(self) -> None:
        """What is sent is dropped from now on, and nobody is told."""
        _ip("link", "set", self._here, "down")

    def mend(self) -> None:
        """What is sent arrives again."""
        _ip("link", "set", self._here, "up")

    def build(self) -> None:
        """Make both hosts."""
        _ip("netns", "add", self._name)
        _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there)
        _ip("link", "set", self._there, "netns", self._name)
        _ip("address", "add", f"{self.address}/30", "dev", self._here)
        _ip("link", "set", self._here, "up")
        there = ("-n", self._name)
        _ip(*there, "address", "add", f"{self._other}/30", "dev", self._there)
        _ip(*there, "link", "set", self._there, "up")
        _ip(*there, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove the other host, and with it the cable."""
        subprocess.run(["ip", "netns", "delete", self._name], capture_output=True, check=False)


@contextmanager
def network() -> Iterator[Network]:
    """Two hosts as long as the block lasts.

    Raises:
        NotPermitted: not here.
    """
    network = Network()
    try:
        try:
            network.build()
        except FileNotFoundError as error:
            raise NotPermitted("there is no command `ip` (package iproute2)") from error
        except subprocess.CalledProcessError as error:
            raise NotPermitted(error.stderr.decode(errors="replace").strip()) from error
        yield network
    finally:
        network.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)
