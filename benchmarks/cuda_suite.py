"""Predicted against measured memory on the attached GPU, case by case, and why they differ.

    python -m benchmarks.cuda_suite [--only SUBSTRING] [--minutes N]
        [--rows benchmarks/cuda_suite.json] [--write benchmarks/cuda_suite.md]
        [--profile FILE] [--predict-only [--device NAME]]

Predictions come from traces on fake tensors, several at a time on the host's cores, while the GPU
measures one case at a time; each in a child of the executor that the service's workers use. What
the rows file holds already is not done again: measurements of the same case on the same device with
the same libraries, predictions by the same planner. `--predict-only` keeps its measurements, so a
host without a GPU can predict them anew.

The exit status is 0 whatever the deviations are, 2 without a device to predict for or to measure
on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cuda_cases import CASES, in_rounds
from benchmarks.cuda_report import TABLE, line, page
from benchmarks.cuda_rows import Row, summary
from benchmarks.cuda_runner import EXECUTOR_JOBS, Header, RowsFile, Runner
from planner.devices import (
    BUILTIN,
    ByteRange,
    DeviceProfile,
    check_profile,
    profile_of_driver,
)
from planner.errors import HeadroomError
from planner.versions import versions
from profiler.executor import Executor

_CORES_OF_MEASURING = 2  # the process that launches kernels, and the driver's threads


class NoDevice(Exception):
    """There is nothing to measure on, or nothing to predict for."""


async def attached(executor: Executor) -> Header:
    """`environment` and `context` of the GPU.

    Raises:
        NoDevice: there is none.
    """
    outcome = await executor.execute("describe", {})
    if outcome.result is None:
        detail = (outcome.problem or {}).get("detail")
        raise NoDevice(f"no CUDA device can be used ({detail}); --predict-only needs none")
    return outcome.result


def profile_for(header: Header, device: str | None, posted: Path | None) -> DeviceProfile:
    """The profile to predict for: the one given, else that of the card that measures, with the
    context that it was found to take, as the service does once a worker has measured it.

    Args:
        device: name of a built-in profile.
        posted: a file with one, as for `POST /v1/devices`.

    Raises:
        NoDevice: none is given and the card has none built in, or it is another card's.
        HeadroomError: the one given is not valid.
    """
    card = header.get("environment", {}).get("device")
    known = None if card is None else profile_of_driver(card["name"])
    if posted is not None:
        profile = check_profile(DeviceProfile.model_validate_json(posted.read_text()))
    elif device is not None and card is not None and device != known:
        raise NoDevice(f"the rows were measured on {card['name']}; predict {device} without them")
    elif device is not None or known is not None:
        profile = BUILTIN[str(device or known)]
    elif card is None:
        raise NoDevice("name what to predict for: --device or --profile")
    else:
        example = json.dumps(_skeleton(card))
        raise NoDevice(f"{card['name']} has no built-in profile; give --profile, such as {example}")
    return _with_context(profile, header.get("context", {}).get("context_bytes"))


def _with_context(profile: DeviceProfile, taken_bytes: int | None) -> DeviceProfile:
    if taken_bytes is None:
        return profile
    measured = ByteRange(
        low_bytes=taken_bytes, high_bytes=taken_bytes, measured=True, source="this suite"
    )
    return profile.model_copy(update={"context_bytes": measured})


def _skeleton(card: dict[str, Any]) -> dict[str, Any]:
    """What a profile of the card needs at least."""
    return {
        "name": "my-gpu",
        "kind": "cuda",
        "architecture": "sm_" + card["compute_capability"].replace(".", ""),
        "multiprocessors": card["multiprocessors"],
        "memory_bytes": card["memory_bytes"],
    }


async def run(options: argparse.Namespace, until: float) -> None:
    """Predict and measure what is asked, print the table, write the files.

    Args:
        until: `time.monotonic()` after which nothing begins.

    Raises:
        NoDevice, HeadroomError: nothing can be predicted or measured.
    """
    stored = RowsFile(options.rows)
    stored.load()
    async with Executor(jobs=EXECUTOR_JOBS) as executor:
        if not options.predict_only:
            stored.measured_on(await attached(executor))
        stored.header |= {"versions": versions()}
        device = profile_for(stored.header, options.device, options.profile)
        cases = {name: case for name, case in CASES.items() if options.only in name}
        rows = stored.select(cases)  # shown in this order, done in rounds
        print(TABLE, flush=True)

        def on_row(row: Row) -> None:
            print(line(row), flush=True)
            stored.save()

        runner = Runner(executor, device, jobs=options.jobs, until=until)
        todo = stored.select(in_rounds(cases))
        await runner.complete(todo, cases, on_row, measuring=not options.predict_only)
    print("\n" + "\n".join(summary(rows)))
    if options.write is not None:
        options.write.write_text(page(stored.header, device, rows))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = len(os.sched_getaffinity(0))
    gpus = [name for name, profile in BUILTIN.items() if profile.kind == "cuda"]
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin and wait no longer")
    parser.add_argument(
        "--jobs",
        type=int,
        default=max(1, cores - _CORES_OF_MEASURING),
        help="predictions at a time",
    )
    parser.add_argument("--predict-only", action="store_true", help="use no GPU")
    parser.add_argument("--device", choices=gpus, help="with --predict-only")
    parser.add_argument("--profile", type=Path, help="a device profile as JSON, instead")
    parser.add_argument("--write", type=Path, help="the page in Markdown")
    parser.add_argument("--rows", type=Path, help="the rows in JSON: read first, kept up to date")
    options = parser.parse_args(arguments)
    if options.device is not None and not options.predict_only:
        parser.error("--device goes with --predict-only: else the attached GPU decides")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    started = time.monotonic()
    options = parsed(arguments)
    try:
        asyncio.run(run(options, started + 60 * options.minutes))
    except (NoDevice, HeadroomError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
