"""`/v1/models` and `/v1/techniques`."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.context import ContextDep
from app.jobs.schemas import problems
from planner import catalogue
from planner.techniques import techniques as every_technique

router = APIRouter(prefix="/v1", tags=["catalogue"])


class ModelCatalogue(BaseModel):
    """What a model description can name."""

    presets: list[dict[str, Any]] = Field(description="descriptions that ship with Headroom")
    tasks: list[dict[str, Any]]
    model_types: dict[str, list[str]] = Field(description="task -> model types of transformers")
    layer_ops: list[dict[str, Any]] = Field(
        description="modules and functions of torch that a graph of layers can name: inputs, and "
        "arguments by name"
    )
    architecture: dict[str, list[dict[str, Any]]] = Field(
        description="what `source: architecture` is put together of, by field"
    )


class TechniqueList(BaseModel):
    """What a strategy can contain."""

    items: list[dict[str, Any]]
    next_cursor: None = None


@router.get("/models", operation_id="listModels", responses=problems())
async def models(context: ContextDep) -> ModelCatalogue:
    """Presets, tasks, the model types of each task, and the ops of graphs of layers."""
    await context.warm.wait()
    return await asyncio.to_thread(_models)


@router.get("/techniques", operation_id="listTechniques", responses=problems())
async def techniques() -> TechniqueList:
    """Techniques: what each costs, and whether it changes the model's mathematics."""
    return TechniqueList(items=await asyncio.to_thread(every_technique))


def _models() -> ModelCatalogue:
    return ModelCatalogue(
        presets=catalogue.presets(),
        tasks=catalogue.tasks(),
        model_types=catalogue.model_types_by_task(),
        layer_ops=catalogue.layer_ops(),
        architecture=catalogue.architecture(),
    )
