"""What Python code touches while it runs, by the interpreter's audit events (PEP 578)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PREFIXES = ("socket.", "subprocess.", "pickle.", "shutil.", "ftplib.", "urllib.", "http.client.")
_EVENTS = frozenset(
    f"os.{name}"
    for name in ("system", "exec", "posix_spawn", "spawn", "fork", "remove", "rename", "mkdir")
)


@dataclass
class Audit:
    """What happened while it was watching."""

    touched: list[str] = field(default_factory=list)
    watching: bool = False

    def __post_init__(self) -> None:
        repository = Path(__file__).resolve().parent.parent
        roots = [sys.prefix, sys.base_prefix, str(repository), "/proc", "/sys", "/dev", "/usr"]
        self._readable = tuple(os.path.realpath(root) + "/" for root in roots)
        sys.addaudithook(self._hear)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Take note while the block runs."""
        self.watching = True
        try:
            yield
        finally:
            self.watching = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event == "open" and self._is_harmless(*arguments):
            return
        if event == "open" or event in _EVENTS or event.startswith(_PREFIXES):
            self.touched.append(f"{event} {arguments!r}"[:300])

    def _is_harmless(self, path: Any, mode: str | None, flags: int) -> bool:
        if not isinstance(path, str):
            return True  # a descriptor, whose opening was seen
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return not writes and os.path.realpath(path).startswith(self._readable)
