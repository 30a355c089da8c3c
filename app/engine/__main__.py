"""`python -m app.engine`: a worker as a process of its own, as `serve` and `worker` start it."""

from __future__ import annotations

import argparse

from app.engine import worker


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id")
    parser.add_argument("--parent-pid", type=int)
    parser.add_argument("--gpu", metavar="UUID")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--simulate", action=argparse.BooleanOptionalAction, default=None)
    given = parser.parse_args()
    worker.main(
        worker_id=given.id,
        parent_pid=given.parent_pid,
        gpu=given.gpu,
        labels=dict(label.split("=", 1) for label in given.label),
        simulates=given.simulate,
    )


if __name__ == "__main__":
    _main()
