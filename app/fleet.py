"""`headroom worker` on a machine with GPUs: one worker process a card, looked after."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from app.supervision import supervise
from app.telemetry import logs
from app.worker_settings import WorkerSettings
from profiler import nvml
from profiler.isolation import hide_memory
from profiler.nvml import Gpu

WORKER = (sys.executable, "-m", "app.engine")
REMOTE_WORKER = (sys.executable, "-m", "app.remote")


def cards() -> list[Gpu]:
    """The machine's cards that `CUDA_VISIBLE_DEVICES` leaves; none where there is no driver."""
    return nvml.visible(nvml.gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def run_fleet(settings: WorkerSettings, commands: Sequence[Sequence[str]]) -> None:
    """Keep a process of each command running until SIGTERM or SIGINT, which end them too.

    A worker that its card fails is started again, without the others noticing. Should this process
    be killed, each worker finishes what it has at hand and ends. Blocking.
    """
    logs.configure(settings, "supervisor")
    if settings.isolation != "off":
        hide_memory()  # of the workers' jobs, which run as the same user
    asyncio.run(_run(settings, commands))


async def _run(settings: WorkerSettings, commands: Sequence[Sequence[str]]) -> None:
    told_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_stop.set)
    workers = [asyncio.create_task(supervise(command, settings)) for command in commands]
    await told_to_stop.wait()
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)


def worker_commands(
    found: Sequence[Gpu],
    labels: dict[str, str],
    worker_id: str | None,
    simulates: bool | None,
    program: Sequence[str] = WORKER,
) -> list[list[str]]:
    """The command of each card's worker. An id is numbered where it would be that of several."""
    shared = [*program, "--parent-pid", str(os.getpid())]
    for name, value in labels.items():
        shared += ["--label", f"{name}={value}"]
    if simulates is not None:
        shared.append("--simulate" if simulates else "--no-simulate")
    commands = []
    for number, card in enumerate(found):
        command = [*shared, "--gpu", card.uuid]
        if worker_id is not None:
            command += ["--id", worker_id if len(found) == 1 else f"{worker_id}-{number}"]
        commands.append(command)
    return commands
