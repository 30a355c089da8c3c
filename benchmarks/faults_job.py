"""What the soak's children do, and what they must have done."""

from __future__ import annotations

import random
import time
from typing import Any

from profiler.channel import Channel, JobResult
from tests.app.fakes import PREDICTION, body

LONGEST_S = 0.3


def request(number: int, seed: int) -> dict[str, Any]:
    """The body of a job: no two are alike."""
    seconds = random.Random(f"{seed} {number}").uniform(0, LONGEST_S)
    return body(number=number, seconds=round(seconds, 3), peak_bytes=expected_peak(number, seed))


def expected_peak(number: int, seed: int) -> int:
    """What the job's result must say."""
    return 1_000_000 + 1_000 * number + seed % 1_000


def simulate(payload: dict[str, Any], channel: Channel) -> JobResult:
    """Take the time that was asked for, and answer what was asked for."""
    config = payload["request"]["model"]["config"]
    channel.progress({"phase": "asleep"})
    time.sleep(config["seconds"])
    prediction = PREDICTION | {"peak_bytes": config["peak_bytes"]}
    return JobResult({"prediction": prediction, "versions": {}}, {"tape": b"x" * 1_000})
