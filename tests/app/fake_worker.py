"""`python -m tests.app.fake_worker`: a real worker process whose executor is fake."""

from __future__ import annotations

import argparse

from app.engine import worker
from tests.app.fakes import FakeExecutor

parser = argparse.ArgumentParser()
parser.add_argument("--id")
parser.add_argument("--label", action="append", default=[])
parser.add_argument("--parent-pid", type=int)
parser.add_argument("--gpu")
given = parser.parse_args()
worker.main(
    worker_id=given.id,
    labels=dict(label.split("=", 1) for label in given.label),
    parent_pid=given.parent_pid,
    gpu=given.gpu,
    executor=FakeExecutor(),
)
