"""How many tokens each block of an architecture sees, and how they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from planner.architecture.description import ArchitectureModel, Blocks, PatchEmbedding
from planner.architecture.tokens import MergeTokens, PatchMerge, PoolTokens, PruneTokens
from planner.errors import InvalidRequest


@dataclass(frozen=True)
class Layout:
    """The tokens at one place of the network.

    Attributes:
        count: S.
        has_first: the first token classifies, so it is never merged, pooled or left out.
        grid: rows and columns of patches, a first token aside; None: a sequence, or what merging
            and pruning left of an image.
    """

    count: int
    has_first: bool
    grid: tuple[int, int] | None


@dataclass(frozen=True)
class Stage:
    """One entry of blocks.

    Attributes:
        before: what arrives, before the entry pools or merges patches.
        blocks: what each block's attention sees.
        width: H of its blocks.
        width_before: H of what arrives.
    """

    before: Layout
    blocks: tuple[Layout, ...]
    width: int
    width_before: int


def stages(model: ArchitectureModel, tokens: int) -> Iterator[Stage]:
    """The entries in order, up to the first that cannot be.

    Args:
        tokens: what the first entry gets, as `model.tokens` says.

    Raises:
        InvalidRequest: an entry's schedule leaves no token, or needs a layout that is not there.
    """
    layout, width = _first(model, tokens), model.hidden_size
    for index, group in enumerate(model.blocks):
        pointer = f"/model/blocks/{index}/tokens"
        before, width_before = layout, width
        layout, width = _entered(group, layout, pointer), group.hidden_size or width
        seen = []
        for _ in range(group.repeat):
            seen.append(layout)
            layout = _left(group, layout, pointer)
        yield Stage(before, tuple(seen), width, width_before)


def of_width(model: ArchitectureModel, width: int) -> ArchitectureModel:
    """The model as its blocks of this width see it."""
    return model.model_copy(update={"hidden_size": width})


def _first(model: ArchitectureModel, count: int) -> Layout:
    spec = model.embedding
    if isinstance(spec, PatchEmbedding):
        side = spec.image_size // spec.patch_size
        return Layout(count, model.has_class_token, (side, side))
    return Layout(count, model.pooling == "first", None)


def _entered(group: Blocks, layout: Layout, pointer: str) -> Layout:
    """What the entry's first block sees."""
    if isinstance(group.tokens, PoolTokens):
        return _pooled(layout, group.tokens.stride, pointer)
    if isinstance(group.tokens, PatchMerge):
        if layout.grid is None or layout.has_first:
            raise InvalidRequest.at(
                pointer,
                "patches are merged by rows and columns, without a class token",
                'use an image\'s patches with pooling "mean", before any merging or pruning',
            )
        return _pooled(layout, 2, pointer)
    return layout


def _pooled(layout: Layout, stride: int, pointer: str) -> Layout:
    first = layout.has_first
    if layout.grid is None:
        count = (layout.count - first) // stride
        if count == 0:
            raise InvalidRequest.at(
                pointer,
                f"windows of {stride} are longer than the {layout.count - first} tokens",
                "pool less, or use a longer sequence",
            )
        return Layout(first + count, first, None)
    rows, columns = layout.grid
    if rows % stride or columns % stride:
        raise InvalidRequest.at(
            pointer,
            f"{stride} does not divide the {rows} rows and {columns} columns of patches",
            "use a divisor, or another image_size or patch_size",
        )
    rows, columns = rows // stride, columns // stride
    return Layout(first + rows * columns, first, (rows, columns))


def _left(group: Blocks, layout: Layout, pointer: str) -> Layout:
    """What a block of the entry hands on."""
    if isinstance(group.tokens, MergeTokens):
        most = (layout.count - layout.has_first) // 2
        if group.tokens.r > most:
            raise InvalidRequest.at(
                f"{pointer}/r",
                f"a block with {layout.count} tokens can merge {most} pairs, not {group.tokens.r}",
                "merge less, or in fewer blocks",
            )
        return Layout(
            group.tokens.remaining(layout.count),
            layout.has_first,
            layout.grid if group.tokens.r == 0 else None,
        )
    if isinstance(group.tokens, PruneTokens):
        if layout.count < 2:
            raise InvalidRequest.at(
                pointer, "there is no token besides the class token", "prune in fewer blocks"
            )
        return Layout(group.tokens.remaining(layout.count), layout.has_first, None)
    return layout
