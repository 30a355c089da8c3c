"""Which model types simulate a train step from their bare default configuration.

    python benchmarks/coverage.py --out benchmarks/coverage.md

Every model type of the causal-lm, masked-lm and image-classification mappings of the installed
`transformers`, as `{"model_type": "x"}` and nothing else, two train steps each on the fake CPU.
Each is traced in a child forked from this process, bounded in time and memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from planner.check import check
from planner.devices import BUILTIN
from planner.errors import InvalidRequest
from planner.models.tasks import class_names
from planner.request import SimulationRequest
from planner.simulation import simulate
from planner.trace import trace
from planner.versions import versions

MAPPINGS = {
    "causal-lm": "text-generation",
    "masked-lm": "fill-mask",
    "image-classification": "image-classification",
}
BATCH_SIZE = 2
SEQUENCE_LENGTH = 64
TARGET = 0.95


@dataclass
class Result:
    """How one model type ended."""

    mapping: str
    model_type: str
    status: str
    seconds: float = 0.0
    peak_bytes: int = 0
    parameter_count: int = 0
    op_count: int = 0
    detail: str = ""
    trace: str = field(default="", repr=False)


def request_for(task: str, model_type: str) -> SimulationRequest:
    """The bare default; where the model only trains on one length, that length."""
    body = {
        "model": {"source": "transformers", "task": task, "config": {"model_type": model_type}},
        "workload": {"batch_size": BATCH_SIZE, "sequence_length": SEQUENCE_LENGTH},
    }
    request = SimulationRequest.model_validate(body)
    try:
        return check(request)
    except InvalidRequest as error:
        length = next((n for n in _lengths(error)), None)
        if length is None:
            raise
        body["workload"]["sequence_length"] = length  # type: ignore[index]
        return check(SimulationRequest.model_validate(body))


def _lengths(error: InvalidRequest) -> Iterator[int]:
    for problem in error.errors:
        if problem.pointer == "/workload/sequence_length" and problem.remedy:
            yield from (int(w) for w in problem.remedy.replace(",", " ").split() if w.isdigit())


def simulate_one(mapping: str, model_type: str) -> Result:
    """Trace and replay one model type in this process."""
    began = time.perf_counter()
    result = Result(mapping, model_type, "succeeded")
    try:
        request = request_for(MAPPINGS[mapping], model_type)
        prediction = simulate(trace(request, BUILTIN["cpu"]))
        result.peak_bytes = prediction.peak_bytes
        result.parameter_count = prediction.parameter_count
        result.op_count = prediction.op_count
    except BaseException as error:
        result.status = "failed"
        result.detail = f"{type(error).__name__}: {error}"[:600]
        result.trace = traceback.format_exc()[-6000:]
    result.seconds = time.perf_counter() - began
    return result


def in_child(mapping: str, model_type: str, seconds: int, memory: int) -> Result:
    """`simulate_one` in a forked child that cannot outlive its bounds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        signal.alarm(seconds)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        with os.fdopen(writer, "w") as pipe:
            json.dump(asdict(simulate_one(mapping, model_type)), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if not text:
        code = os.waitstatus_to_exitcode(status)
        why = f"no answer within {seconds} s" if code == -signal.SIGALRM else f"ended with {code}"
        return Result(mapping, model_type, "failed", float(seconds), detail=why)
    return Result(**json.loads(text))


def main() -> None:
    """Run them all and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the report here")
    parser.add_argument("--json", type=Path, help="write one line per model type here")
    parser.add_argument("--only", nargs="*", help="these model types alone")
    parser.add_argument("--mapping", choices=MAPPINGS, help="this mapping alone")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th model type from the i-th")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--memory", type=int, default=12 << 30)
    options = parser.parse_args()
    first, step = map(int, options.shard.split("/"))
    wanted = [
        (mapping, model_type)
        for mapping, task in MAPPINGS.items()
        for model_type in installed(task)
        if mapping == (options.mapping or mapping)
        if model_type in (options.only or [model_type])
    ][first::step]
    results = []
    for mapping, model_type in wanted:
        result = in_child(mapping, model_type, options.seconds, options.memory)
        results.append(result)
        print(
            f"{mapping:22}{model_type:34}{result.status:11}{result.seconds:7.1f} s  {result.detail[:150]}",
            flush=True,
        )
        if options.json:
            with options.json.open("a") as lines:
                lines.write(json.dumps(asdict(result)) + "\n")
    if options.out:
        options.out.write_text(report(results))


def installed(task: str) -> list[str]:
    """The model types of a task, as the installed library maps them."""
    return sorted(class_names(task))


def report(results: list[Result]) -> str:
    """The results as Markdown."""
    return json.dumps([asdict(result) for result in results], indent=1) + str(versions())


if __name__ == "__main__":
    main()
