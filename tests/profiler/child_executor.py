"""An executor whose jobs are those of `child_jobs`."""

from contextlib import asynccontextmanager

from profiler.executor import Executor

CHILD_JOBS = [
    "echo",
    "facts",
    "compute",
    "sleep",
    "sleep_with_grandchild",
    "phases",
    "refuse",
    "bug",
    "killed",
    "exits",
    "allocate",
    "allocate_and_wrap",
    "allocate_shared",
    "allocate_python",
    "garbage",
    "oversized",
    "unknown_kind",
    "half_a_frame",
    "not_json",
    "stubborn",
]


@asynccontextmanager
async def executor_of_child_jobs(scratch):
    jobs = {name: f"child_jobs:{name}" for name in CHILD_JOBS}
    # Only the kind called `run` may end out of memory.
    jobs["run"] = "child_jobs:allocate"
    async with Executor(jobs=jobs, preload=(), scratch=scratch) as executor:
        await executor.ready()
        yield executor
