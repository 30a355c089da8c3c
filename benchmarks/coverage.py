"""Which model types simulate a train step from their bare default configuration.

    PYTHONPATH=. python benchmarks/coverage.py --out benchmarks/coverage.md

Every model type of the causal-lm, masked-lm and image-classification mappings of the installed
`transformers`, as `{"model_type": "x"}` and nothing else, two train steps each on the fake CPU.
Each is traced in a child forked from this process, bounded in time and memory. One that fails is
tried without Headroom too: the library alone, on torch's meta device. Where that raises the same
exception, no real torch can run the bare default either, and it is listed apart.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from planner.check import check
from planner.devices import BUILTIN
from planner.errors import InvalidRequest
from planner.models.tasks import class_names
from planner.quantities import format_bytes
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
COMMAND = "PYTHONPATH=. python benchmarks/coverage.py --out benchmarks/coverage.md"


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
        result.detail = " ".join(f"{type(error).__name__}: {error}".split())[:600]
        result.trace = traceback.format_exc()[-6000:]
        result.status = "apart" if library_alone_fails(result) else "failed"
    result.seconds = time.perf_counter() - began
    return result


def library_alone_fails(result: Result) -> bool:
    """Whether the library alone, on the meta device, raises what the trace raised."""
    import torch
    import transformers

    auto = class_names(MAPPINGS[result.mapping])[result.model_type][0]
    try:
        with torch.device("meta"):
            config = transformers.CONFIG_MAPPING[result.model_type]()
            model = getattr(transformers, auto).from_config(config)
            if result.mapping == "image-classification":
                model(pixel_values=torch.zeros(BATCH_SIZE, 3, 224, 224))
            else:
                ids = torch.zeros(BATCH_SIZE, SEQUENCE_LENGTH, dtype=torch.int64)
                model(input_ids=ids, labels=ids)
    except Exception as error:
        cause = error.__cause__ or error
        return any(" ".join(str(e).split())[:200] in result.detail for e in (error, cause))
    return False


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
    options = _options()
    logging.getLogger("torch._subclasses.fake_tensor").setLevel(logging.CRITICAL)
    earlier = _earlier(options.json)
    results = []
    for mapping, model_type in _wanted(options):
        result = earlier.get((mapping, model_type))
        if result is None:
            result = in_child(mapping, model_type, options.seconds, options.memory)
            print(_line(result), flush=True)
            if options.json:
                with options.json.open("a") as lines:
                    lines.write(json.dumps(asdict(result)) + "\n")
        results.append(result)
    if options.out:
        options.out.write_text(report(results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the report here")
    parser.add_argument(
        "--json", type=Path, help="keep results here; those that did not fail are not run again"
    )
    parser.add_argument("--only", nargs="*", help="these model types alone")
    parser.add_argument("--mapping", choices=MAPPINGS, help="this mapping alone")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--memory", type=int, default=12 << 30)
    return parser.parse_args()


def _wanted(options: argparse.Namespace) -> list[tuple[str, str]]:
    return [
        (mapping, model_type)
        for mapping, task in MAPPINGS.items()
        for model_type in sorted(class_names(task))
        if mapping == (options.mapping or mapping)
        if model_type in (options.only or [model_type])
    ]


def _earlier(path: Path | None) -> dict[tuple[str, str], Result]:
    if path is None or not path.exists():
        return {}
    results = [Result(**json.loads(line)) for line in path.read_text().splitlines()]
    return {(r.mapping, r.model_type): r for r in results if r.status != "failed"}


def _line(result: Result) -> str:
    return (
        f"{result.mapping:22}{result.model_type:34}{result.status:11}"
        f"{result.seconds:7.1f} s  {result.detail[:150]}"
    )


def report(results: list[Result]) -> str:
    """The results as Markdown: totals, what failed, what is apart, and every peak."""
    installed = versions()
    parts = [
        "# Coverage: train steps from bare default configurations\n",
        f"`{COMMAND}` with torch {installed['torch']}, transformers {installed['transformers']}.",
        "Two AdamW steps in fp32, "
        f"batch {BATCH_SIZE}, sequence {SEQUENCE_LENGTH} (where a model trains on one length only,"
        " that length), on the fake CPU.",
        "*Apart* are model types whose bare default the library itself, without Headroom and on"
        " torch's meta device, refuses with the same exception.\n",
        _totals(results),
        _reasons("Failed", [r for r in results if r.status == "failed"]),
        _reasons("Apart", [r for r in results if r.status == "apart"]),
        _peaks([r for r in results if r.status == "succeeded"]),
    ]
    return "\n".join(parts)


def _totals(results: list[Result]) -> str:
    rows = ["| mapping | model types | simulated | apart | failed | of those that torch can run |"]
    rows.append("|---|---|---|---|---|---|")
    for mapping in MAPPINGS:
        counts = Counter(r.status for r in results if r.mapping == mapping)
        possible = counts["succeeded"] + counts["failed"]
        share = f"{100 * counts['succeeded'] / possible:.1f} %" if possible else ""
        rows.append(
            f"| {mapping} | {counts.total()} | {counts['succeeded']} | {counts['apart']} |"
            f" {counts['failed']} | {share} |"
        )
    return "\n".join(rows) + "\n"


def _reasons(title: str, results: list[Result]) -> str:
    rows = [f"## {title}\n", "| mapping | model type | why |", "|---|---|---|"]
    for result in results:
        why = result.detail.replace("|", "\\|")[:220]
        rows.append(f"| {result.mapping} | `{result.model_type}` | {why} |")
    return "\n".join(rows if results else [rows[0], "None."]) + "\n"


def _peaks(results: list[Result]) -> str:
    rows = [
        "## Simulated\n",
        "| mapping | model type | parameters | ops | peak |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {r.mapping} | `{r.model_type}` | {r.parameter_count:,} | {r.op_count:,} |"
        f" {format_bytes(r.peak_bytes)} |"
        for r in results
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
