"""The systems of `benchmarks.systems`: how each is asked for, and what its paper printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from planner.presets import PRESETS

Fields = dict[str, Any]
Case = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A published number and how the same quantity is simulated."""

    what: str
    published: float
    unit: str
    simulate: Callable[[], float]


@dataclass(frozen=True)
class System:
    """A system of the literature.

    Attributes:
        small: runs on a CPU in seconds.
        large: predicted only, beside its twins with eager and fused attention.
        twins: those twins, where plain attention in place of the blocks' own is not enough.
        truth: what it saves and what it does not.
    """

    name: str
    source: str
    truth: str
    small: Case
    large: Case | None = None
    twins: dict[str, Case] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()

    def compared(self) -> dict[str, Case]:
        """The large case and its twins."""
        if self.large is None:
            return {}
        twins = self.twins or {name: plain(self.large, name) for name in ("eager", "sdpa")}
        return {"this": self.large, **twins}

    def size(self) -> str:
        """What the large case is, in words."""
        if self.large is None:
            return "-"
        workload = self.large["workload"]
        batch, length = workload["batch_size"], workload["sequence_length"]
        of = f"{batch} images" if length == 1 else f"{batch} x {length:,} tokens"
        mode = {"train": "training", "generation": "16 new tokens after"}.get(
            workload.get("mode", "train"), "inference"
        )
        return f"{mode}, {of}"


def small(name: str, **workload: Any) -> Case:
    """A preset as it runs on a CPU in seconds."""
    return {
        "model": {"source": "preset", "name": name},
        "workload": {**PRESETS[name].example_workload("small"), **workload},
    }


def preset(name: str, size: str = "paper") -> Fields:
    """The whole description that a preset stands for."""
    return PRESETS[name].description(size).model_dump(mode="json", exclude_unset=True)


def asked(model: Fields, batch: int, length: int, **more: Any) -> Case:
    """Training with SGD, so that parameters count twice and not four times."""
    workload = {"batch_size": batch, "sequence_length": length, "optimizer": {"name": "sgd"}}
    strategy = more.pop("strategy", {})
    return {"model": model, "workload": {**workload, **more}, "strategy": strategy}


def network(attention: Fields, task: str = "fill-mask", **more: Any) -> Fields:
    """Six blocks of BERT's width over at most 4,096 tokens."""
    group = {"repeat": 6, "feed_forward": {"kind": "dense"}, **more.pop("block", {})}
    heads = {} if attention["kind"] in ("fourier", "mamba") else {"num_heads": 12}
    return {
        "source": "architecture",
        "task": task,
        "hidden_size": 768,
        "embedding": {"vocab_size": 8_192, "max_positions": 4_096},
        "blocks": [{**group, "attention": {**heads, **attention}}],
        **more,
    }


def library(model_type: str, task: str, **config: Any) -> Fields:
    """A model of `transformers`."""
    return {
        "source": "transformers",
        "task": task,
        "config": {"model_type": model_type, **config},
    }


def plain(case: Case, implementation: str) -> Case:
    """The same network with plain attention in every block."""
    model = case["model"]
    if model["source"] == "transformers":
        return {**case, "model": {**model, "attention": implementation}}
    blocks = [
        {**_plain_block(group), "attention": _plain_attention(group["attention"], implementation)}
        for group in model["blocks"]
    ]
    return {**case, "model": {**model, "blocks": blocks}}


def _plain_attention(given: Fields, implementation: str) -> Fields:
    heads = given.get("num_heads", 12)
    return {"kind": "dense", "num_heads": heads, "implementation": implementation}


def _plain_block(group: Fields) -> Fields:
    """Without reversibility and with a dense feed-forward."""
    dense = {"kind": "dense"}
    memory = group["feed_forward"]["kind"] == "memory"
    return {
        **{key: value for key, value in group.items() if key not in ("residual",)},
        "feed_forward": dense if memory else group["feed_forward"],
    }
