"""`python -m app.engine`: a worker as a process of its own, as `serve` starts it."""

from __future__ import annotations

import argparse
import logging
import os

from app.engine import worker


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--id")
    parser.add_argument("--parent-pid", type=int)
    given = parser.parse_args()
    logging.basicConfig(level=os.environ.get("HEADROOM_LOG_LEVEL", "INFO"))
    worker.main(worker_id=given.id, parent_pid=given.parent_pid)


if __name__ == "__main__":
    _main()
