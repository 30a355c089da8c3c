"""What every worker process can be told on its command line."""

from __future__ import annotations

import argparse
from typing import Any


def worker_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of what concerns a worker however it is attached."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--id")
    parser.add_argument("--parent-pid", type=int)
    parser.add_argument("--gpu", metavar="UUID")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--simulate", action=argparse.BooleanOptionalAction, default=None)
    return parser


def worker_options(given: argparse.Namespace) -> dict[str, Any]:
    """What was given, as keyword arguments of a worker's `main`."""
    return {
        "worker_id": given.id,
        "parent_pid": given.parent_pid,
        "gpu": given.gpu,
        "labels": dict(label.split("=", 1) for label in given.label),
        "simulates": given.simulate,
    }
