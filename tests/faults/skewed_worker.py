"""`python -m tests.faults.skewed_worker`: the fake worker on a host whose clock is wrong by as many
seconds as the variable CLOCK_AHEAD_S says.
"""

from __future__ import annotations

import os
import runpy
import time
from datetime import timedelta

from app.kit import columns

_ahead_s = float(os.environ["CLOCK_AHEAD_S"])
_right_time, _right_now = time.time, columns.utc_now
# Before anything else of the service is imported: it takes these names from here.
time.time = lambda: _right_time() + _ahead_s
columns.utc_now = lambda: _right_now() + timedelta(seconds=_ahead_s)
runpy.run_module("tests.app.fake_worker", run_name="__main__")
