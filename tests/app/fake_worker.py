"""`python -m tests.app.fake_worker`: a real worker process whose executor is fake."""

from __future__ import annotations

from app.engine.arguments import worker_options, worker_parser
from tests.app.fakes import FakeExecutor

parser = worker_parser(__doc__)
parser.add_argument("--server")
given = parser.parse_args()
if given.server is None:
    from app.engine import worker

    worker.main(**worker_options(given), executor=FakeExecutor())
else:
    from app.remote import worker as remote
    from app.remote.address import Address

    remote.main(Address(given.server), **worker_options(given), executor=FakeExecutor())
