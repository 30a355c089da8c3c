"""A real inference with every intermediate tensor in one preallocated buffer, by a layout.

The function runs twice under a dispatch mode, on the CPU: `record` sees what ops make and read, and
`replay`, given a layout of that, puts each result where the layout says. Kernels allocate their
results as always and these are then copied into place, so scratch and the newest result are
outside the arena: this proves that a layout is right, it saves no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only

from planner.arena.buffers import Layout
from planner.arena.lifetimes import ALIGNMENT_BYTES, Arena, arena


@dataclass(frozen=True, eq=False)
class Recording:
    """What a run's ops made, in order, and what the run returned."""

    arena: Arena
    storage_bytes: tuple[int, ...]
    result: Any


def record(function: Callable[[], Any], alignment_bytes: int = ALIGNMENT_BYTES) -> Recording:
    """Run the function without gradients and note lifetimes of what its ops make.

    Its result must be a pytree (torch.utils._pytree) with every tensor that is used afterwards.
    """
    mode = _Recorder()
    with torch.no_grad(), mode:
        result = function()
    for tensor in _tensors(result):
        mode.read(tensor, mode.ops)
    sizes = np.array(mode.sizes, dtype=np.int64)
    kept = np.flatnonzero(sizes)
    row = {storage: index for index, storage in enumerate(kept.tolist())}
    found = arena(
        [str(storage) for storage in kept.tolist()],
        np.array(mode.made_by, dtype=np.int64)[kept],
        np.array(mode.last_read_by, dtype=np.int64)[kept],
        sizes[kept],
        {row[new]: [row[old] for old in olds] for new, olds in mode.overwrites.items()},
        alignment_bytes,
    )
    return Recording(found, tuple(mode.sizes), result)


def replay(function: Callable[[], Any], recording: Recording, layout: Layout) -> Any:
    """Run the function again, with what its ops make at the layout's offsets in one buffer.

    The result's tensors lie in that buffer too.

    Raises:
        ValueError: the function does not make the same storages as when it was recorded.
    """
    mode = _Placer(recording, layout)
    with torch.no_grad(), mode:
        result = function()
    if mode.made != len(recording.storage_bytes):
        raise ValueError(f"{mode.made} storages made, {len(recording.storage_bytes)} recorded")
    return result


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_iter(tree) if isinstance(leaf, Tensor))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ops = 0
        self.sizes: list[int] = []
        self.made_by: list[int] = []
        self.last_read_by: list[int] = []
        self.overwrites: dict[int, list[int]] = {}
        self._storages: dict[int, int] = {}
        self._held: list[Tensor] = []  # all that was made, so that no address comes again

    def read(self, tensor: Tensor, op: int) -> None:
        """Note that an op reads the tensor, if an op made it."""
        storage = self._storages.get(tensor.untyped_storage().data_ptr())
        if storage is not None:
            self.last_read_by[storage] = op

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = list(_tensors((args, kwargs)))
        for tensor in inputs:
            self.read(tensor, self.ops)
        fresh = _fresh(inputs, result)
        for tensor in fresh:
            self._storages[tensor.untyped_storage().data_ptr()] = len(self.sizes)
            self.sizes.append(tensor.untyped_storage().nbytes())
            self.made_by.append(self.ops)
            self.last_read_by.append(self.ops)
            self._held.append(tensor)
        if len(fresh) == 1 and torch.Tag.pointwise in func.tags:
            self._note_overwrites(inputs, fresh[0])
        self.ops += 1
        return result

    def _note_overwrites(self, inputs: list[Tensor], made: Tensor) -> None:
        found = []
        for operand in inputs:
            storage = self._storages.get(operand.untyped_storage().data_ptr())
            same_bytes = operand.untyped_storage().nbytes() == made.untyped_storage().nbytes() > 0
            if storage is not None and same_bytes and _layout(operand) == _layout(made):
                # Read through another tensor besides, it could be written before it is read.
                others = (other for other in inputs if _layout(other) != _layout(made))
                at = operand.untyped_storage().data_ptr()
                if all(other.untyped_storage().data_ptr() != at for other in others):
                    found.append(storage)
        self.overwrites[len(self.sizes) - 1] = found


class _Placer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, recording: Recording, layout: Layout) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made = 0
        self._sizes = recording.storage_bytes
        offsets = layout.offsets[recording.arena.buffer].tolist()
        placed = (index for index, size in enumerate(self._sizes) if size)
        self._offsets = dict(zip(placed, offsets, strict=True))
        self._arena = torch.empty(layout.height_bytes, dtype=torch.uint8)

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        bases = {}
        for tensor in _fresh(_tensors((args, kwargs)), result):
            size = tensor.untyped_storage().nbytes()
            if self.made >= len(self._sizes) or self._sizes[self.made] != size:
                raise ValueError(f"{func} makes what was not recorded")
            if size:
                bases[tensor.untyped_storage().data_ptr()] = self._offsets[self.made]
            self.made += 1
        if not bases:
            return result
        return tree_map_only(Tensor, lambda tensor: self._placed(tensor, bases), result)

    def _placed(self, tensor: Tensor, bases: dict[int, int]) -> Tensor:
        offset = bases.get(tensor.untyped_storage().data_ptr())
        if offset is None:
            return tensor
        items = offset // tensor.itemsize + tensor.storage_offset()
        view = torch.empty(0, dtype=tensor.dtype).set_(
            self._arena.untyped_storage(), items, tensor.size(), tensor.stride()
        )
        return view.copy_(tensor)


def _fresh(inputs: Any, result: Any) -> list[Tensor]:
    """One tensor of each storage that the op made."""
    known = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    found = {}
    for tensor in _tensors(result):
        address = tensor.untyped_storage().data_ptr()
        if address not in known and address not in found:
            found[address] = tensor
    return list(found.values())


def _layout(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tensor.size(), tensor.stride(), tensor.storage_offset()
