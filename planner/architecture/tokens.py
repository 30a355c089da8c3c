"""How many tokens go on through a network, as data: each kind with the fields that its paper names.

Merging and pruning happen within every block of an entry, between attention and feed-forward;
pooling and patch merging once, before an entry's first block. Every sample of a batch keeps equally
many, so tensors really are smaller.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from planner.data import Data


class MergeTokens(Data):
    """Tokens alike are averaged (ToMe)."""

    summary: ClassVar[str] = (
        "in each block the r pairs of tokens with the most similar keys become their means,"
        " weighted by how many tokens each stands for: S - r go on"
    )
    paper: ClassVar[str] = "arXiv 2210.09461 (ToMe)"
    in_blocks: ClassVar[bool] = True

    kind: Literal["merge"]
    r: int = Field(ge=0, le=2**20, description="pairs a block; at most half of its tokens")
    proportional_attention: bool = Field(
        True,
        description="log of a token's size is added to its scores, as if it were there that often;"
        " dense attention only",
    )

    def remaining(self, tokens: int) -> int:
        """S after a block of S tokens."""
        return tokens - self.r


class PruneTokens(Data):
    """Tokens that the class token does not look at are left out (EViT)."""

    summary: ClassVar[str] = (
        "in each block the share `keep` of tokens goes on that the class token attends to most;"
        " the others are fused in one"
    )
    paper: ClassVar[str] = "arXiv 2202.07800 (EViT)"
    in_blocks: ClassVar[bool] = True

    kind: Literal["prune"]
    keep: float = Field(gt=0, le=1, description="share of the tokens besides the class token")
    fuse: bool = Field(True, description="one more token: the others, weighted by attention")

    def kept(self, tokens: int) -> int:
        """How many of S tokens stay besides the class token (rounded up, as the authors do)."""
        return math.ceil(self.keep * (tokens - 1))

    def remaining(self, tokens: int) -> int:
        """S after a block of S tokens."""
        kept = self.kept(tokens)
        return 1 + kept + (self.fuse and kept < tokens - 1)


class PoolTokens(Data):
    """Neighbours become one token before an entry's first block (Funnel)."""

    summary: ClassVar[str] = (
        "before the entry, windows of `stride` tokens (of images: stride x stride patches) become"
        " one; the class token stays as it is"
    )
    paper: ClassVar[str] = "arXiv 2006.03236 (Funnel-Transformer)"
    in_blocks: ClassVar[bool] = False

    kind: Literal["pool"]
    stride: int = Field(2, ge=2, le=1_024)
    mode: Literal["mean", "max"] = "mean"
    queries_only: bool = Field(
        False,
        description="the first block's keys and values are of all tokens, as in Funnel; dense"
        " attention only",
    )


class PatchMerge(Data):
    """Squares of 2 x 2 patches become one wider token before an entry's first block (Swin)."""

    summary: ClassVar[str] = (
        "before the entry, 2 x 2 patches are set side by side, normed and mapped to its hidden_size"
    )
    paper: ClassVar[str] = "arXiv 2103.14030 (Swin)"
    in_blocks: ClassVar[bool] = False

    kind: Literal["patch_merge"]


TokenSchedule = Annotated[
    MergeTokens | PruneTokens | PoolTokens | PatchMerge, Field(discriminator="kind")
]
