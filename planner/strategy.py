"""A strategy: what is done to a step so that it takes less memory, as versioned plain JSON.

Nothing here imports torch. `planner.apply` carries strategies out on any `torch.nn.Module`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from planner.compression import Compression
from planner.data import Data
from planner.kv_cache import KvCache

ModulePath = Annotated[
    str, Field(min_length=1, max_length=300, pattern=r"^[A-Za-z_0-9]+(\.[A-Za-z_0-9]+)*$")
]
SavedOp = Annotated[str, Field(max_length=200, pattern=r"^[\w.]+#\d{1,6}$")]


class UnitChoice(Data):
    """What is done with the tensors that one unit (or a segment of units) saves for backward.

    Choices nest: a module that is recomputed may hold modules that are recomputed again inside.
    """

    module: ModulePath = Field(description="path of the module, or of a segment's first one")
    through: ModulePath | None = Field(
        None,
        description="path of a segment's last module: the consecutive modules from `module` on "
        "are recomputed as one, each taking the output of the one before as its first argument",
    )
    action: Literal["keep", "recompute", "selective", "offload"] = Field(
        description="keep: saved as autograd does; recompute: only the input stays, forward runs "
        "again in backward; selective: the outputs of the ops in `save` stay too; offload: saved "
        "tensors wait in host memory",
    )
    save: list[SavedOp] = Field(
        [],
        max_length=10_000,
        description="selective: op outputs that stay, as `aten.addmm#1`: the op's name and how "
        "many calls of it came before in the unit",
    )
    reason: str | None = Field(None, max_length=500, description="why, in words")

    @model_validator(mode="after")
    def _is_whole(self) -> UnitChoice:
        if self.action == "selective" and not self.save:
            raise ValueError('save is empty: name op outputs, or use "recompute"')
        if self.action != "selective" and self.save:
            raise ValueError("save has a meaning only when action is selective; leave it out")
        if self.through is not None and self.action != "recompute":
            raise ValueError("through has a meaning only when action is recompute; leave it out")
        return self


class OptimizerChoice(Data):
    """How the optimizer does the same mathematics with less memory."""

    implementation: Literal["foreach", "for-loop", "fused"] | None = Field(
        None, description="torch's own variants; the request's when absent"
    )
    in_backward: bool = Field(
        False,
        description="step each parameter as soon as its gradient is complete, and drop the "
        "gradient (torch: register_post_accumulate_grad_hook)",
    )


class Strategy(Data):
    """Memory choices applied to a step."""

    version: Literal[1] = 1
    checkpointing: Literal["none", "full"] = Field(
        "none",
        description="full: non-reentrant torch.utils.checkpoint around each unit, as the model's "
        "own library does it",
    )
    units: list[UnitChoice] = Field([], max_length=10_000)
    micro_batches: int = Field(
        1, ge=1, le=4_096, description="parts that each batch is split into, gradients accumulated"
    )
    loss_chunks: int = Field(
        1,
        ge=1,
        le=4_096,
        description="parts in which head and cross-entropy are computed, so that the logits are "
        "never whole",
    )
    loss_head: ModulePath | None = Field(
        None,
        description="path of the linear layer that makes the logits; found by itself when absent",
    )
    optimizer: OptimizerChoice = Field(default_factory=OptimizerChoice)
    attention: Literal["eager", "sdpa"] | None = Field(
        None, description="attention kernels instead of those of the model description"
    )
    precision: Literal["fp32", "bf16", "fp16", "amp-bf16", "amp-fp16"] | None = Field(
        None, description="instead of the workload's; changes the mathematics"
    )
    optimizer_states: Literal["8bit", "factored"] | None = Field(
        None, description="smaller optimizer states; changes the mathematics"
    )
    kv_cache: KvCache | None = Field(
        None,
        description="generation: what is kept of past keys and values, instead of all of them; "
        "changes the mathematics",
    )
    compression: list[Compression] = Field(
        [],
        max_length=100,
        description="what is done to the linear layers of the built model, in this order, before "
        "adapters are added; changes the mathematics",
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Strategy:
        if self.checkpointing == "full" and self.units:
            raise ValueError('checkpointing "full" leaves no units to choose for; drop one of them')
        seen: set[tuple[str, str | None]] = set()
        for choice in self.units:
            key = (choice.module, choice.through)
            if key in seen:
                raise ValueError(f"units name {choice.module!r} twice")
            seen.add(key)
        return self

    @property
    def is_plain(self) -> bool:
        """Whether nothing at all is changed."""
        return self == Strategy()
