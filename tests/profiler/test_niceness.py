from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from profiler.channel import JobResult
from profiler.executor import Executor
from profiler.limits import Limits
from profiler.niceness import yield_to_others

ROOT = Path(__file__).resolve().parents[2]
AUTOGROUP = Path("/proc/self/autogroup")


def group_niceness():
    """Empty for a process of the first session, or of a cgroup with processor shares of its own."""
    words = AUTOGROUP.read_text().split() if AUTOGROUP.exists() else []
    return words[-1] if words else "none"


def tell(payload, channel):
    """A job: how nice the child and its session are."""
    return JobResult({"niceness": os.nice(0), "group": group_niceness()})


async def tell_of_child(scratch):
    async with Executor(jobs={"tell": "test_niceness:tell"}, preload=(), scratch=scratch) as made:
        await made.ready()
        limits = Limits(wall_seconds=30, memory_bytes=2**30)
        return (await made.execute("tell", {}, limits=limits)).result


def main(what, scratch):
    yield_to_others(3)
    if what == "itself":
        print(os.nice(0), group_niceness())
    else:
        found = asyncio.run(tell_of_child(Path(scratch)))
        print(found["niceness"], found["group"])


def numbers(what, scratch, **options):
    answer = subprocess.run(
        [sys.executable, __file__, what, scratch],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)])},
        capture_output=True,
        check=True,
        timeout=60,
        **options,
    )
    return answer.stdout.decode().split()


@pytest.mark.parametrize("what", ["itself", "its child"])
def test_a_session_of_its_own_yields_as_a_whole(what, tmp_path):
    niceness, group = numbers(what, tmp_path, start_new_session=True)
    assert int(niceness) == min(os.nice(0) + 3, 19)
    if group == "none":
        pytest.skip("the kernel does not group this session")
    assert group == niceness


def test_the_session_of_others_is_left_alone(tmp_path):
    before = group_niceness()
    niceness, group = numbers("itself", tmp_path)
    assert int(niceness) == min(os.nice(0) + 3, 19)
    assert group == before


if __name__ == "__main__":
    main(*sys.argv[1:])
