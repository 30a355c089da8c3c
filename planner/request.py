"""What a user asks: a model description, a workload, a device and a strategy, as validated data.

Nothing here imports torch: the API process validates requests with these models alone. Checks that
need the model library's configuration classes are in `planner.models.config`.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from planner.architecture import ArchitectureModel
from planner.data import Data
from planner.devices.tiers import Placement
from planner.fine_tuning import Frozen, Lora, Trained
from planner.models.layers.description import LayersModel
from planner.strategy import Strategy

MAX_CONFIG_DEPTH = 8
MAX_CONFIG_VALUES = 20_000
MAX_STRING = 4_096
MAX_INTEGER = 2**53  # beyond it JSON numbers are no longer exact (RFC 8259, section 6)

Task = Literal[
    "text-generation",
    "fill-mask",
    "text-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "text2text-generation",
    "image-classification",
    "image-segmentation",
    "object-detection",
    "automatic-speech-recognition",
    "audio-classification",
    "image-text-to-text",
    "feature-extraction",
]
Precision = Literal["fp64", "fp32", "bf16", "fp16", "amp-bf16", "amp-fp16"]
Attention = Literal["eager", "sdpa"]
Experts = Literal["eager", "grouped_mm", "batched_mm"]


class TransformersModel(Data):
    """Any architecture of the installed `transformers`, by `model_type` and config fields."""

    source: Literal["transformers"]
    task: Task = "text-generation"
    config: dict[str, Any] = Field(
        description="as in a `config.json`: `model_type` and any of that model's fields"
    )
    attention: Attention | None = Field(
        None, description="attention kernels; the library's default when absent"
    )
    experts: Experts | None = Field(
        None, description="mixture-of-experts implementation; the library's default when absent"
    )
    lora: Lora | None = None
    freeze: Frozen = Field([])
    train: Trained = Field([])

    @field_validator("config")
    @classmethod
    def _is_bounded(cls, config: dict[str, Any]) -> dict[str, Any]:
        check_bounded(config)
        model_type = config.get("model_type")
        if not isinstance(model_type, str) or not model_type:
            raise ValueError(
                'needs "model_type", for example {"model_type": "gpt2"}; GET /v1/models lists them'
            )
        return config


class PresetModel(Data):
    """A named description that ships with Headroom; `GET /v1/models` lists them."""

    source: Literal["preset"]
    name: str = Field(max_length=100)
    size: Literal["small", "paper"] = Field("small", description="`small` runs on a CPU in seconds")


ModelDescription = Annotated[
    TransformersModel | ArchitectureModel | LayersModel | PresetModel,
    Field(discriminator="source"),
]


class Optimizer(BaseModel):
    """One of torch's own optimizers; fields other than `name` are its own argument names."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    name: str = Field("adamw", min_length=1, max_length=40)

    @property
    def arguments(self) -> dict[str, Any]:
        """The optimizer's own arguments, as given."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _is_bounded(self) -> Optimizer:
        check_bounded(self.arguments)
        return self


class Distillation(Data):
    """The model learns from a teacher too (Hinton et al. 2015, arXiv 1503.02531)."""

    teacher: ModelDescription | None = Field(
        None, description="built frozen beside the model; needed where logits are online"
    )
    logits: Literal["online", "stored"] = Field(
        "online",
        description="online: the teacher computes them in every step; stored: they are inputs",
    )
    temperature: float = Field(2.0, gt=0, le=1e4)
    alpha: float = Field(
        0.5, ge=0, le=1, description="weight of the teacher; the task's own loss has 1 - alpha"
    )
    hidden: bool = Field(
        False, description="add the cosine distance of the last hidden states (DistilBERT)"
    )
    top_k: int | None = Field(
        None, ge=1, le=2**20, description="stored logits of each token; default the vocabulary"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Distillation:
        if self.logits == "online" and self.teacher is None:
            raise ValueError('teacher is needed when logits are "online"')
        if self.logits == "stored" and self.hidden:
            raise ValueError("hidden needs a teacher online: only its logits are stored")
        if self.logits == "online" and self.top_k is not None:
            raise ValueError('top_k has a meaning only when logits are "stored"; leave it out')
        return self


class Workload(Data):
    """What is done with the model."""

    mode: Literal["train", "inference", "generation"] = "train"
    batch_size: int = Field(1, ge=1, le=2**20, description="samples in one (micro-)batch")
    sequence_length: int = Field(
        512, ge=1, le=2**24, description="tokens of the input, or of the prompt in generation"
    )
    target_length: int | None = Field(
        None,
        ge=1,
        le=2**24,
        description="tokens of the labels of encoder-decoders; default sequence_length",
    )
    new_tokens: int | None = Field(
        None, ge=1, le=2**16, description="tokens to generate; generation only"
    )
    cache: Literal["dynamic", "static", "none"] = Field(
        "dynamic",
        description="KV cache of generation: transformers' DynamicCache or StaticCache, or none",
    )
    image_size: int | None = Field(
        None, ge=1, le=2**14, description="pixels a side; default from the config"
    )
    precision: Precision = "fp32"
    optimizer: Optimizer = Field(default_factory=Optimizer)
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=1024, description="micro-batches before one optimizer step"
    )
    distillation: Distillation | None = Field(
        None, description="train from a teacher's logits beside the task's own labels"
    )

    @model_validator(mode="after")
    def _fits_mode(self) -> Workload:
        if self.mode != "train" and self.distillation is not None:
            raise ValueError("distillation has a meaning only when mode is train; leave it out")
        if self.mode == "generation" and self.new_tokens is None:
            raise ValueError("new_tokens is needed when mode is generation")
        if self.mode != "generation" and self.new_tokens is not None:
            raise ValueError("new_tokens has a meaning only when mode is generation; leave it out")
        if self.batch_size * self.sequence_length > 2**40:
            raise ValueError("batch_size x sequence_length is over 2^40 tokens; lower one of them")
        return self


class SimulationRequest(Data):
    """The body of `POST /v1/simulations`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": {
                        "source": "transformers",
                        "task": "text-generation",
                        "config": {"model_type": "gpt2", "n_layer": 6},
                        "attention": "sdpa",
                    },
                    "workload": {
                        "mode": "train",
                        "batch_size": 4,
                        "sequence_length": 256,
                        "precision": "fp32",
                        "optimizer": {"name": "adamw"},
                        "gradient_accumulation_steps": 1,
                    },
                    "device": "cpu",
                    "strategy": {"checkpointing": "none"},
                }
            ]
        }
    )

    model: ModelDescription
    workload: Workload = Field(default_factory=Workload)
    device: str = Field(
        "cpu",
        min_length=1,
        max_length=100,
        description="name of a device profile; GET /v1/devices lists them",
    )
    strategy: Strategy = Field(default_factory=Strategy)
    placement: list[Placement] | None = Field(
        None,
        max_length=100,
        description="what the device's memory tiers keep; default: as its profile says",
    )


def content_hash(request: BaseModel, versions: dict[str, str]) -> str:
    """SHA-256 (hex) over the canonical JSON of the request, defaults filled in, and the versions
    that answer it.
    """
    body = {"request": request.model_dump(mode="json"), "versions": versions}
    return hashlib.sha256(
        json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def check_bounded(data: dict[str, Any]) -> None:
    """Refuse nested data that is too deep or too large to be a configuration.

    Raises:
        ValueError: names the limit passed.
    """
    pending: list[tuple[Any, int]] = [(data, 1)]
    seen = 0
    while pending:
        value, depth = pending.pop()
        seen += 1
        if depth > MAX_CONFIG_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_CONFIG_DEPTH} levels")
        if seen > MAX_CONFIG_VALUES:
            raise ValueError(f"holds more than {MAX_CONFIG_VALUES} values")
        if isinstance(value, dict):
            _check_keys(value)
            pending += [(child, depth + 1) for child in value.values()]
        elif isinstance(value, list):
            pending += [(child, depth + 1) for child in value]
        else:
            _check_scalar(value)


def _check_keys(mapping: dict[Any, Any]) -> None:
    for key in mapping:
        if not isinstance(key, str) or len(key) > 200:
            raise ValueError("has a field name that is no string of at most 200 characters")


def _check_scalar(value: Any) -> None:
    if isinstance(value, str) and len(value) > MAX_STRING:
        raise ValueError(f"holds a string longer than {MAX_STRING} characters")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError("holds an integer beyond 2^53")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
