"""Results that a worker sent: checked to the last field before anything of them is stored."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any, TypeVar
from zipfile import ZipFile

from fastapi import UploadFile
from pydantic import BaseModel, ValidationError

from app.context import Context
from app.gateway.schemas import OutcomeReport
from app.jobs import artifacts
from app.jobs.lifecycle import Job, table_of
from app.kit import compression
from app.kit.json_body import parse_json
from app.kit.pointers import describe
from app.kit.problems import Problem
from app.models import Plan, Run
from app.runs.schemas import Baseline, GradientsMatch, NotCompared
from planner.errors import FieldProblem, InvalidRequest
from planner.plans import Plan as FoundPlan
from planner.prediction import Prediction
from planner.tape import Tape
from profiler.measured import Measured
from profiler.outcome import Outcome
from profiler.timeline import Timeline

_MOST_OUTCOME_BYTES = 16 * 1024**2
_MOST_LOG_CHARACTERS = 16_384
_UNPACKED = 8
"""How many times the largest result a file may be, unpacked."""

Files = dict[str, tuple[int, bytes]]
Schema = TypeVar("Schema", bound=BaseModel)


class _Simulated(BaseModel):
    prediction: Prediction
    versions: dict[str, str] | None = None


class _Planned(BaseModel):
    plan: FoundPlan
    versions: dict[str, str] | None = None


class _Ran(BaseModel):
    measured: Measured
    environment: dict[str, Any]
    baseline: Baseline | None = None
    gradients_match: GradientsMatch | NotCompared | None = None
    slowdown: float | None = None


async def read(
    context: Context, job_id: str, outcome: UploadFile, files: Mapping[str, UploadFile]
) -> tuple[Outcome, Files]:
    """What was sent of a job, as the outcome and the files that are stored of it.

    Raises:
        InvalidRequest: it is not what a job of that kind ends with.
    """
    table = table_of(job_id)
    report = _parsed("/outcome", OutcomeReport, await _json(outcome))
    if report.result is not None:
        _parsed("/outcome/result", _result_of(table), report.result)
    if report.problem is not None:
        _parsed("/outcome/problem", Problem, report.problem)
    if report.status == "out_of_memory" and table is not Run:
        raise InvalidRequest.at("/outcome/status", "only a run ends so", "send failed instead")
    if len(report.exit.log) > _MOST_LOG_CHARACTERS:
        raise InvalidRequest.at("/outcome/exit/log", "is too long", "send the end of it")
    kept = await _files(context, table, files)
    name = _file_of(table)
    if report.status == "succeeded" and name not in kept:
        raise InvalidRequest.at(f"/{name}", "is missing", f"a {table.kind} that succeeds has one")
    return Outcome(report.status, report.result, report.problem, {}, report.exit), kept


def _file_of(table: type[Job]) -> str:
    return artifacts.TIMELINE if table is Run else artifacts.TAPE


def _result_of(table: type[Job]) -> type[BaseModel]:
    if table is Run:
        return _Ran
    return _Planned if table is Plan else _Simulated


async def _json(part: UploadFile) -> Any:
    data = await part.read(_MOST_OUTCOME_BYTES + 1)
    if len(data) > _MOST_OUTCOME_BYTES:
        raise InvalidRequest.at("/outcome", f"holds more than {_MOST_OUTCOME_BYTES} bytes")
    try:
        return await asyncio.to_thread(parse_json, data)
    except ValueError as error:
        raise InvalidRequest.at("/outcome", f"not valid JSON: {error}") from None


def _parsed(pointer: str, schema: type[Schema], value: Any) -> Schema:
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        found = (describe(each, value, ()) for each in error.errors())
        raise InvalidRequest(
            [FieldProblem(pointer + e["pointer"], e["detail"], e.get("remedy")) for e in found]
        ) from None


async def _files(context: Context, table: type[Job], files: Mapping[str, UploadFile]) -> Files:
    for name in files:
        if name != _file_of(table):
            raise InvalidRequest.at(f"/{name}", f"a {table.kind} leaves no such file")
    most = context.settings.max_result_bytes * _UNPACKED
    kept: Files = {}
    for name, part in files.items():
        content = await part.read()
        # Unpacking takes memory and a core, as computing on a file does.
        async with context.computing:
            try:
                size = await asyncio.to_thread(_checked, name, content, most)
            except Exception as error:
                raise InvalidRequest.at(f"/{name}", f"cannot be read: {error}"[:500]) from error
        kept[name] = size, content
    return kept


def _checked(name: str, content: bytes, most_bytes: int) -> int:
    """The size of a file, once it has been used for what it is kept for."""
    from planner.simulation import timeline

    data = compression.decompress(content, most_bytes)
    with ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > most_bytes:
            raise ValueError(f"holds more than {most_bytes} bytes")
    if name == artifacts.TIMELINE:
        Timeline.from_bytes(data).points(10)
    else:
        timeline(Tape.load(data), 10)
    return len(data)
