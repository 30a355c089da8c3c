"""What cannot be of windows of patches and of heads with an operation each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from planner.architecture import attention as attentions
from planner.architecture.schedule import Layout
from planner.errors import FieldProblem

Found = Iterator[FieldProblem]


def image_window_problems(
    spec: attentions.ImageWindow, layouts: Sequence[Layout], pointer: str
) -> Found:
    """Of windows on an image's patches."""
    if any(layout.grid is None or layout.has_first for layout in layouts):
        yield FieldProblem(
            f"{pointer}/kind",
            "windows need the rows and columns of patches, without a class token",
            'use an image\'s patches with pooling "mean", before any merging or pruning',
        )
        return
    for size in sorted({size for layout in layouts for size in layout.grid or ()}):
        if size % spec.window:
            yield FieldProblem(
                f"{pointer}/window",
                f"{spec.window} does not divide {size} rows or columns of patches",
                "use a divisor",
            )
        elif spec.shift and spec.shift >= (spec.window if size > spec.window else 1):
            yield FieldProblem(
                f"{pointer}/shift",
                f"windows of {spec.window} among {size} patches cannot be shifted by {spec.shift}",
                "use less than window, and 0 where one window is all",
            )


def heads_problems(width: int, spec: attentions.Heads, pointer: str) -> Found:
    """Of heads with an operation each."""
    if spec.head_dim is None and width % len(spec.heads):
        yield FieldProblem(
            f"{pointer}/heads",
            f"{len(spec.heads)} heads do not divide hidden_size {width}",
            "use a divisor, or give head_dim",
        )
    for index, head in enumerate(spec.heads):
        if isinstance(head, attentions.ConvolutionHead) and head.kernel_size % 2 == 0:
            yield FieldProblem(
                f"{pointer}/heads/{index}/kernel_size",
                f"{head.kernel_size} has no middle",
                "use an odd number",
            )
