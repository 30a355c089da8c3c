"""Writes the tape while ops happen: storages by weak reference, the rest as growing columns."""

from __future__ import annotations

import itertools
import weakref
from array import array
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from planner.errors import LimitExceeded
from planner.tape import Category, OpFlag, Tape
from planner.tracing.opinfo import OpInfo

_RECORDERS = itertools.count()


class _StorageRef(weakref.ref[Any]):
    """A weak reference that knows which storage of the tape it stands for."""

    __slots__ = ("key", "storage")
    key: int
    storage: int


MAX_FLOPS = 2**63 - 1
"""Of a tape, whose sums have 64 bits."""


class Recorder:
    """Columns of a tape under construction. Not thread-safe: the autograd engine runs CPU backward
    in the calling thread.
    """

    def __init__(self, max_ops: int) -> None:
        self.max_ops = max_ops
        # The attribute on tensors that carries their id on this tape: the parameters of a model
        # can pass through several traces.
        self._tag = f"_tape_tensor_{next(_RECORDERS)}"
        self.names: dict[str, int] = {}
        self.modules: dict[str, int] = {"": 0}
        self.phases: list[str] = []
        self.phase_events: list[list[int]] = []
        self.layouts: dict[tuple[torch.dtype, torch.Size], int] = {}
        self.events = array("i")
        self.op_name, self.op_module, self.op_phase = array("i"), array("i"), array("i")
        self._flops = 0
        self.op_event, self.op_flops, self.op_flags = array("q"), array("q"), array("B")
        self.op_inputs, self.op_outputs = array("i"), array("i")
        self.op_inputs_at, self.op_outputs_at = array("q", [0]), array("q", [0])
        self.tensor_storage, self.tensor_op, self.tensor_layout = array("i"), array("i"), array("i")
        self.storage_bytes, self.storage_category = array("q"), array("B")
        self.storage_op, self.storage_name = array("i"), array("i")
        self._live: dict[int, _StorageRef] = {}
        self._newest: dict[int, int] = {}  # storage -> its newest tensor
        self._reuse: tuple[int, int, int] | None = None
        self._workspaces: set[Hashable] = set()

    # ------------------------------------------------------------------ storages and tensors

    def _die(self, ref: weakref.ref[Any]) -> None:
        assert isinstance(ref, _StorageRef)
        self.events.append(~ref.storage)
        if self._live.get(ref.key) is ref:
            del self._live[ref.key]

    def _new_storage(self, size: int, category: Category, op: int) -> int:
        self._settle_reuse()  # some storages appear without an op
        storage = len(self.storage_bytes)
        self.storage_bytes.append(size)
        self.storage_category.append(category)
        self.storage_op.append(op)
        self.storage_name.append(-1)
        self.events.append(storage)
        return storage

    def _storage_of(self, tensor: Tensor, category: Category, op: int) -> int:
        untyped = tensor.untyped_storage()
        key = untyped._cdata
        ref = self._live.get(key)
        if ref is not None:
            return ref.storage
        ref = _StorageRef(untyped, self._die)
        ref.key = key
        ref.storage = self._new_storage(untyped.nbytes(), category, op)
        self._live[key] = ref
        return ref.storage

    def _new_tensor(self, tensor: Tensor, storage: int, op: int) -> int:
        layout = (tensor.dtype, tensor.shape)
        index = self.layouts.get(layout)
        if index is None:
            index = self.layouts[layout] = len(self.layouts)
        identity = len(self.tensor_storage)
        self.tensor_storage.append(storage)
        self.tensor_op.append(op)
        self.tensor_layout.append(index)
        self._newest[storage] = identity
        tensor.__dict__[self._tag] = identity
        return identity

    def _identity(self, tensor: Tensor) -> int:
        """The tensor's id; one that came without passing through an op is the newest of its
        storage.
        """
        identity = tensor.__dict__.get(self._tag)
        if identity is not None:
            return int(identity)
        storage = self._storage_of(tensor, Category.temporaries, -1)
        identity = self._newest.get(storage)
        if identity is None:
            identity = self._new_tensor(tensor, storage, -1)
        return identity

    def tensor_of(self, tensor: Tensor) -> int:
        """Id of the tensor on the tape."""
        return self._identity(tensor)

    def storage_of(self, tensor: Tensor) -> int:
        """Id of the tensor's storage on the tape."""
        return self.tensor_storage[self._identity(tensor)]

    def live_storages(self) -> set[int]:
        """Ids of the storages that are alive now."""
        return {ref.storage for ref in self._live.values()}

    def live_bytes(self) -> int:
        """Bytes alive now."""
        return sum(self.storage_bytes[storage] for storage in self.live_storages())

    def adopt(self, tensor: Tensor, category: Category, name: str | None = None) -> int:
        """Put a tensor that no op of the tape made on the tape; returns its storage."""
        storage = self._storage_of(tensor, category, -1)
        self.storage_category[storage] = category
        if name is not None:
            self.storage_name[storage] = self.names.setdefault(name, len(self.names))
        if self._tag not in tensor.__dict__:
            self._new_tensor(tensor, storage, -1)
        return storage

    def appear(self, tensor: Tensor, name: str) -> None:
        """Put a tensor on the tape that library code allocated without an op, just now."""
        storage = self._storage_of(tensor, Category.temporaries, self.op_count - 1)
        self.storage_name[storage] = self.names.setdefault(name, len(self.names))

    def recategorise(self, tensor: Tensor, category: Category, name: str | None = None) -> None:
        """Say what an already recorded storage is for (known only after it was made)."""
        ref = self._live.get(tensor.untyped_storage()._cdata)
        if ref is None:
            return
        if self.storage_category[ref.storage] == Category.parameters:
            return
        self.storage_category[ref.storage] = category
        if name is not None:
            self.storage_name[ref.storage] = self.names.setdefault(name, len(self.names))

    def keep_workspace(self, key: Hashable, size: int) -> None:
        """Allocate what a library keeps from its first use on, unless it has it already; it
        belongs to the op that is recorded next.
        """
        if key not in self._workspaces:
            self._workspaces.add(key)
            self._new_storage(size, Category.workspace, self.op_count)

    def mark_survivors(self, first_storage: int, category: Category) -> None:
        """Give temporaries born since `first_storage` that are still alive their real category."""
        for ref in self._live.values():
            storage = ref.storage
            if (
                storage >= first_storage
                and self.storage_category[storage] == Category.temporaries
                and self.storage_op[storage] >= 0
            ):
                self.storage_category[storage] = category

    def may_reuse(self, first_input: Tensor) -> None:
        """Say that the op recorded last would, on real tensors, write into its first input if
        nothing else held it.

        Whether something does shows when the input dies, or not, before the next op.
        """
        output = self.op_outputs[-1]
        new = self.tensor_storage[output]
        old = self.tensor_storage[self._identity(first_input)]
        if new != old and new == len(self.storage_bytes) - 1:
            self._reuse = (old, new, output)

    def _settle_reuse(self) -> None:
        if self._reuse is None:
            return
        old, new, output = self._reuse
        self._reuse = None
        first = self.op_event[-1]
        since = self.events[first:].tolist()
        if ~old not in since or self.storage_bytes[old] != self.storage_bytes[new]:
            return
        # The new storage never was: the old one lives on in its place.
        del self.events[first:]
        self.events.extend(
            (old if event >= 0 else ~old) if event in (new, ~new) else event
            for event in since
            if event not in (new, ~old)
        )
        for column in (
            self.storage_bytes, self.storage_category, self.storage_op, self.storage_name
        ):  # fmt: skip
            column.pop()
        self.tensor_storage[output] = old
        self._newest[old] = self._newest.pop(new)
        for ref in self._live.values():
            if ref.storage == new:
                ref.storage = old

    # ------------------------------------------------------------------ ops and phases

    @property
    def op_count(self) -> int:
        """Ops on the tape so far: the number of the next one."""
        return len(self.op_name)

    def module_id(self, path: str) -> int:
        """The module's index in the tape's table, made on first use."""
        return self.modules.setdefault(path, len(self.modules))

    def begin_phase(self, name: str) -> None:
        """What follows belongs to the phase."""
        self.phases.append(name)
        self.phase_events.append([len(self.events), len(self.events)])

    def end_phase(self) -> None:
        """The phase is over; its deaths up to here count as its own."""
        self._settle_reuse()
        self.phase_events[-1][1] = len(self.events)

    def record(
        self,
        info: OpInfo,
        inputs: list[Tensor],
        outputs: list[Tensor],
        *,
        module: int,
        flops: int,
        recompute: bool,
        scratch_bytes: tuple[int, ...],
    ) -> None:
        """Write one op: what it read, what it made, and each scratch allocation alive inside it.

        Raises:
            LimitExceeded: the tape holds `max_ops` ops already, or more operations than it counts.
        """
        self._settle_reuse()
        op = len(self.op_name)
        if op >= self.max_ops:
            raise LimitExceeded(f"the workload takes more than {self.max_ops} ops")
        self._flops += flops
        if self._flops > MAX_FLOPS:
            raise LimitExceeded("the workload takes more than 2^63 floating-point operations")
        self.op_name.append(self.names.setdefault(info.name, len(self.names)))
        self.op_module.append(module)
        self.op_phase.append(len(self.phases) - 1)
        self.op_event.append(len(self.events))
        self.op_flops.append(flops)
        self.op_flags.append(info.flags | (OpFlag.recompute if recompute else 0))
        identity = self._identity
        self.op_inputs.extend([identity(tensor) for tensor in inputs])
        self.op_inputs_at.append(len(self.op_inputs))
        scratch = [self._new_storage(size, Category.workspace, op) for size in scratch_bytes]
        for tensor in outputs:
            storage = self._storage_of(tensor, Category.temporaries, op)
            self.op_outputs.append(self._new_tensor(tensor, storage, op))
        self.op_outputs_at.append(len(self.op_outputs))
        self.events.extend(~storage for storage in reversed(scratch))

    def tape(self, meta: dict[str, Any]) -> Tape:
        """Freeze the columns."""

        def column(values: Any, dtype: type) -> Any:
            return np.array(values, dtype=dtype)

        integers = {
            name: column(getattr(self, name), np.int32)
            for name in (
                "events", "op_name", "op_module", "op_phase", "op_inputs", "op_outputs",
                "tensor_storage", "tensor_op", "tensor_layout", "storage_op", "storage_name",
            )
        }  # fmt: skip
        longs = {
            name: column(getattr(self, name), np.int64)
            for name in ("op_event", "op_flops", "op_inputs_at", "op_outputs_at", "storage_bytes")
        }
        return Tape(
            meta=meta,
            names=list(self.names),
            modules=list(self.modules),
            phases=self.phases,
            layouts=[
                (str(dtype).removeprefix("torch."), tuple(shape)) for dtype, shape in self.layouts
            ],
            phase_events=column(self.phase_events, np.int64).reshape(-1, 2),
            op_flags=column(self.op_flags, np.uint8),
            storage_category=column(self.storage_category, np.uint8),
            **integers,
            **longs,
        )
