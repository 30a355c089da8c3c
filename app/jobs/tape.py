"""What is computed from the tape of a simulation or a plan: timeline, peak, graph and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic_core import to_json

from app.context import Context
from app.jobs import artifacts
from app.jobs.lifecycle import Job
from app.jobs.service import JobState, compute
from planner.export.chrome_trace import chrome_trace
from planner.export.memory_snapshot import memory_snapshot
from planner.export.table import write_csv, write_parquet
from planner.tape import Tape

Depth = Annotated[
    int | None,
    Query(
        ge=0,
        le=100,
        description="collapse modules below this depth into one node each; all ops when absent",
    ),
]
MaxPoints = Annotated[int, Query(ge=10, le=20_000, description="most points of a series")]
FirstEvent = Annotated[int, Query(ge=0, le=2**53, description="only from this event on")]
EndEvent = Annotated[int | None, Query(ge=1, le=2**53, description="only before this event")]
Tensors = Annotated[int, Query(ge=0, le=1_000, description="most tensors, the largest first")]


class ExportFormat(StrEnum):
    """Files for other tools."""

    GRAPHML = "graphml"
    NODE_LINK = "node-link"
    CHROME_TRACE = "chrome-trace"
    MEMORY_SNAPSHOT = "memory-snapshot"
    CSV = "csv"
    PARQUET = "parquet"
    ARENA = "arena"


_MEDIA = {
    ExportFormat.GRAPHML: ("application/graphml+xml", "graphml"),
    ExportFormat.NODE_LINK: ("application/json", "json"),
    ExportFormat.CHROME_TRACE: ("application/json", "trace.json"),
    ExportFormat.MEMORY_SNAPSHOT: ("application/octet-stream", "pickle"),
    ExportFormat.CSV: ("text/csv", "csv"),
    ExportFormat.PARQUET: ("application/vnd.apache.parquet", "parquet"),
    ExportFormat.ARENA: ("text/csv", "arena.csv"),
}


async def predicted_timeline(
    context: Context,
    job: JobState,
    max_points: int,
    first_event: int = 0,
    end_event: int | None = None,
) -> bytes:
    """Live bytes over the workload or a window of its events, as JSON.

    Raises:
        Conflict: the job has not succeeded.
    """

    def work(data: bytes) -> dict[str, Any]:
        from planner.simulation import timeline

        return timeline(Tape.load(data), max_points, first_event, end_event)

    form = f"timeline {max_points} {first_event} {end_event}"
    return await computed_json(context, job, artifacts.TAPE, form, work)


async def predicted_peak(context: Context, job: JobState, tensors: int) -> bytes:
    """What is alive at the peak by module and tensor, as JSON.

    Raises:
        Conflict: the job has not succeeded.
    """

    def work(data: bytes) -> dict[str, Any]:
        from planner.peak import peak

        return peak(Tape.load(data), tensors)

    return await computed_json(context, job, artifacts.TAPE, f"peak {tensors}", work)


async def computed_json(
    context: Context,
    job: Job | JobState,
    file: str,
    form: str,
    work: Callable[[bytes], dict[str, Any]],
) -> bytes:
    """What is computed from a file of a finished job, which never changes: kept as it was sent.

    Raises:
        Conflict: the job has not left this file, or has not ended yet.
    """
    content = context.rendered.get(job, form)
    if content is None:
        content = await compute(context, job, file, lambda data: to_json(work(data)))
        context.rendered.keep(job, form, content)
    return content


async def export_tape(
    context: Context,
    job: JobState,
    format: ExportFormat,
    depth: int | None,
    *,
    as_file: bool = False,
) -> Response:
    """A file for other tools as a response; graphs collapsed to `depth`.

    Raises:
        Conflict: the job has not succeeded.
    """

    def work(data: bytes) -> bytes:
        tape = Tape.load(data)
        return _WRITERS[format](tape) if format in _WRITERS else _graph(tape, format, depth)

    content = await compute(context, job, artifacts.TAPE, work)
    media_type, suffix = _MEDIA[format]
    headers = (
        {"Content-Disposition": f'attachment; filename="{job.id}.{suffix}"'} if as_file else None
    )
    return Response(content, media_type=media_type, headers=headers)


def _graph(tape: Tape, format: ExportFormat, depth: int | None) -> bytes:
    from planner.graph import build_graph, collapse, graphml, node_link

    graph = build_graph(tape)
    if depth is not None:
        graph = collapse(graph, depth)
    if format is ExportFormat.GRAPHML:
        return graphml(graph)
    return json.dumps(node_link(graph), separators=(",", ":"), allow_nan=False).encode()


def _arena(tape: Tape) -> bytes:
    from planner.arena import arena_of, pack, write_csv

    buffers = arena_of(tape).buffers
    # Without a search: `headroom arena` does that, in a process of its own.
    return write_csv(buffers, pack(buffers, seconds_limit=0).offsets).encode()


_WRITERS: dict[ExportFormat, Callable[[Tape], bytes]] = {
    ExportFormat.CHROME_TRACE: chrome_trace,
    ExportFormat.MEMORY_SNAPSHOT: memory_snapshot,
    ExportFormat.CSV: write_csv,
    ExportFormat.PARQUET: write_parquet,
    ExportFormat.ARENA: _arena,
}
