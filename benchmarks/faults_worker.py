"""`python -m benchmarks.faults_worker --id ID`: a real worker with real children, whose jobs take
no torch.
"""

from __future__ import annotations

import logging
import sys

from app.engine import worker
from profiler.executor import Executor

logging.basicConfig(level="INFO")
worker.main(
    worker_id=sys.argv[sys.argv.index("--id") + 1],
    executor=Executor(jobs={"simulate": "benchmarks.faults_job:simulate"}, preload=()),
)
