"""The arena of a tape: its step's intermediate tensors as buffers. Without torch."""

from __future__ import annotations

import numpy as np

from planner.arena.buffers import Ints
from planner.arena.lifetimes import ALIGNMENT_BYTES, Arena, arena, may_overwrite
from planner.tape import Category, OpFlag, Tape

PLACED = (Category.activations, Category.temporaries)


def arena_of(tape: Tape, alignment_bytes: int = ALIGNMENT_BYTES) -> Arena:
    """Buffers of the activations and temporaries that the last step's ops make.

    Meant for inference: there they are all that a step allocates but for scratch inside kernels,
    which no op's output shows and which is not placed. A storage is needed until the last op that
    reads it, though eager Python may hold it longer; what is held after the last op is a result.
    Strides are not on a tape, so an elementwise op is taken to keep those of the operand that it
    writes over, if that is no view and has the result's dtype and shape.
    """
    prefix = tape.phases[-1].partition(".")[0]
    phases = [i for i, name in enumerate(tape.phases) if name.partition(".")[0] == prefix]
    ops = np.flatnonzero(np.isin(tape.op_phase, phases))
    placed = np.isin(tape.storage_category, PLACED) & (tape.storage_bytes > 0)
    placed &= np.isin(tape.storage_op, ops)
    storages = np.flatnonzero(placed)
    row = np.full(len(tape.storage_bytes), -1, dtype=np.int64)
    row[storages] = np.arange(len(storages))
    return arena(
        [str(storage) for storage in storages.tolist()],
        tape.storage_op[storages].astype(np.int64),
        _last_reads(tape, ops)[storages],
        tape.storage_bytes[storages],
        {int(row[new]): [int(row[old]) for old in olds if placed[old]]
         for new, olds in _overwrites(tape, storages).items()},
        alignment_bytes,
    )  # fmt: skip


def _last_reads(tape: Tape, ops: Ints) -> Ints:
    """The last op that reads or makes a tensor of each storage, or writes into it."""
    last = tape.storage_op.astype(np.int64)
    for tensors, at in (
        (tape.op_inputs, tape.op_inputs_at),
        (tape.op_outputs, tape.op_outputs_at),
    ):
        readers = np.repeat(np.arange(tape.op_count), np.diff(at))
        np.maximum.at(last, tape.tensor_storage[tensors], readers)
    # What dies only after the last op has begun was held: a result, or read by that op.
    held = tape.deaths >= tape.op_event[ops[-1]] if len(ops) else np.zeros(len(last), dtype=bool)
    return np.where(held, tape.op_count - 1, last)


def _overwrites(tape: Tape, storages: Ints) -> dict[int, list[int]]:
    """For each storage that an elementwise op makes, the operands of its layout that own theirs."""
    found = {}
    for storage in storages.tolist():
        op = int(tape.storage_op[storage])
        outputs = tape.op_outputs[tape.op_outputs_at[op] : tape.op_outputs_at[op + 1]]
        if len(outputs) != 1 or not may_overwrite(tape.names[tape.op_name[op]]):
            continue
        if tape.op_flags[op] & (OpFlag.view | OpFlag.in_place):
            continue
        inputs = tape.op_inputs[tape.op_inputs_at[op] : tape.op_inputs_at[op + 1]]
        read = tape.tensor_storage[inputs]
        owns = (
            (tape.tensor_layout[inputs] == tape.tensor_layout[outputs[0]])
            & (tape.tensor_op[inputs] == tape.storage_op[read])
            & (tape.tensor_bytes[inputs] == tape.storage_bytes[read])
        )
        # Read through another tensor besides, it could be written before it is read.
        alone = [np.all(inputs[read == one] == own) for own, one in zip(inputs, read, strict=True)]
        found[storage] = read[owns & np.array(alone, dtype=bool)].tolist()
    return found
