"""`python -m app.engine`: a worker as a process of its own, as `serve` and `worker` start it."""

from __future__ import annotations

from app.engine import worker
from app.engine.arguments import worker_options, worker_parser


def _main() -> None:
    given = worker_parser(__doc__).parse_args()
    worker.main(**worker_options(given))


if __name__ == "__main__":
    _main()
