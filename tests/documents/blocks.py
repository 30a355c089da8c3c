"""Code blocks and commands of the documentation, and what is said of each block.

A block of JSON without a mark is a whole request. Every other block has a comment on the line
before it, `<!-- run by tests/... -->` or `<!-- not run: why -->`. A test takes the blocks that name
it from `run_by(__file__)`, so a mark cannot name a test that does not look.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
)
ADDRESS = "http://127.0.0.1:8000"
"""Where a service is on the pages; a test's own has another port."""

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_SEPARATOR = "---8<---"
_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """One fenced block; `page` is relative to the repository, `line` that of its fence."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runner(self) -> str | None:
        """The test that runs it, relative to the repository."""
        found = re.fullmatch(r"run by (\S+)", self.mark)
        return found[1] if found else None

    @property
    def excuse(self) -> str | None:
        """Why it is not run."""
        found = re.fullmatch(r"not run: (.+)", self.mark)
        return found[1] if found else None


def blocks_of(path: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text = path.read_text()
    page = path.relative_to(ROOT).as_posix()
    return [
        Block(
            page,
            text.count("\n", 0, found.start("indent")) + 1,
            found["language"],
            found["mark"] or "",
            textwrap.dedent(found["text"]),
        )
        for found in _BLOCK.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


def run_by(file: str) -> dict[str, list[Block]]:
    """Page -> the blocks that the test file runs, in order.

    Raises:
        LookupError: none names it.
    """
    name = Path(file).resolve().relative_to(ROOT).as_posix()
    found: dict[str, list[Block]] = {}
    for block in BLOCKS:
        if block.runner == name:
            found.setdefault(block.page, []).append(block)
    if not found:
        raise LookupError(f"no block is marked as run by {name}")
    return found


def spans_of(path: Path) -> list[str]:
    """What stands in backquotes in the text between the blocks, on one line each."""
    return [" ".join(span.split()) for span in _SPAN.findall(_BLOCK.sub("", path.read_text()))]


def run_in_shell(
    blocks: list[Block],
    folder: Path,
    url: str,
    seconds: float,
    errors: bool = False,
    **variables: str,
) -> list[str]:
    """Run the blocks one after another in one shell; what each printed, with `errors` also on
    standard error.

    The address of the service is all that is not as printed.
    """
    script = f"echo '{_SEPARATOR}'\n".join(block.text for block in blocks)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(ADDRESS, url)],
        cwd=folder,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "HEADROOM_SERVER": url,
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if errors else subprocess.PIPE,
        text=True,
        timeout=seconds,
    )
    assert finished.returncode == 0, finished.stderr or finished.stdout[-2000:]
    return finished.stdout.split(f"{_SEPARATOR}\n")
