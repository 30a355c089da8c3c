"""`python -m app.remote`: a worker over HTTPS as a process of its own, one of a fleet."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from app.engine.arguments import worker_options, worker_parser
from app.remote import worker
from app.remote.address import Address
from planner.errors import HeadroomError


def _main() -> None:
    parser = worker_parser(__doc__)
    parser.add_argument("--server", required=True, metavar="URL")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--ca-file", type=Path)
    parser.add_argument("--allow-http", action="store_true")
    given = parser.parse_args()
    try:
        address = Address(given.server, given.token_file, given.ca_file, given.allow_http)
        worker.main(address, **worker_options(given))
    except HeadroomError as error:
        logging.getLogger(__name__).error("%s: %s", type(error).__name__, error)
        sys.exit(1)


if __name__ == "__main__":
    _main()
