"""From a block that hands all tokens on to one that merges or prunes them after attention."""

from __future__ import annotations

from torch import nn

from planner.architecture.schedule import Layout
from planner.architecture.tokens import MergeTokens, PruneTokens
from planner.models.architecture.blocks import PostNorm, PostNormBlock, PreNorm, PreNormBlock
from planner.models.architecture.heads import MultiHeadAttention
from planner.models.architecture.keyed import KeyedAttention, KeyedPostNorm, KeyedPreNorm
from planner.models.architecture.token_merging import MergingBlock, TokenMerging
from planner.models.architecture.token_pruning import PruningBlock, TokenPruning


def reducing_block(spec: MergeTokens | PruneTokens, block: nn.Module, layout: Layout) -> nn.Module:
    """The same block, its modules included, with the schedule between its two parts."""
    assert isinstance(block, PreNormBlock | PostNormBlock), "the rules refuse reversible ones"
    assert block.attention is not None, "the rules ask for attention with heads"
    attention = _keyed(block.attention)
    if isinstance(spec, PruneTokens):
        return PruningBlock(attention, TokenPruning(spec), block.feed_forward)
    merging = TokenMerging(spec.r, layout.has_first)
    return MergingBlock(attention, merging, block.feed_forward, spec.proportional_attention)


def _keyed(part: PreNorm | PostNorm) -> KeyedPreNorm | KeyedPostNorm:
    attention = part.function
    assert isinstance(attention, MultiHeadAttention), "the rules ask for attention with heads"
    keyed = KeyedPreNorm if isinstance(part, PreNorm) else KeyedPostNorm
    return keyed(part.norm, KeyedAttention.of(attention), part.dropout.p)
