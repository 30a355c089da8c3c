"""What each memory of a device holds over a tape, and the bytes that it moves at least.

The storages of the tape, with their births and deaths as PyTorch has them, are put into tiers by
the first rule of a placement that takes them; what no rule takes is kept, as torch has it, in the
last tier. Nothing migrates: a tier that overflows does not spill, it does not fit.

Traffic is compulsory traffic: of the last step traced, what ops read of a storage at once at the
most, and what they write of it at the most, each counted once. Embedding and gather ops read no
more than they write; ops that change some elements of a tensor in place do not count, since how
many is in their indices. A tier's time is that of its reads or its writes, whichever takes longer,
as if both went on side by side; bounds from below, all of them.

Limitations: sparsity is what the placement says, since fake tensors have no values. Bits and
sparsity are of floating-point tensors; indices and masks stay as torch has them. On a device with a
caching allocator, a tensor's bytes are those of its block, as everywhere on such a tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from planner.accelerator.storage import nonzero_elements, packed_bytes
from planner.devices.profile import DeviceProfile
from planner.devices.tiers import MemoryTier, Placement, unknown_tiers
from planner.errors import InvalidRequest
from planner.prediction import Categories, TierUse
from planner.simulation import phase_at, phases_of_last_step
from planner.tape import Category, Ints, OpFlag, Tape

_FLOATING = ("float", "bfloat", "complex")
_GATHERS = ("embedding", "gather", "index")
"""In the names of ops that read of their inputs no more bytes than they write."""
_PARTIAL = ("index_put", "index_copy", "index_add", "scatter", "masked")
"""In the names of ops that, in place, read and write only some elements of what they change."""


def placed(device: DeviceProfile, placement: Sequence[Placement] | None) -> DeviceProfile:
    """The device with a request's placement in the place of its own.

    Raises:
        InvalidRequest: the device has no such tiers.
    """
    if placement is None:
        return device
    if unknown := unknown_tiers(device.tiers, placement):
        tiers = ", ".join(tier.name for tier in device.tiers) or "none"
        raise InvalidRequest.at(
            "/placement",
            f"{device.name} has no tier {unknown[0]!r}",
            f"its tiers are: {tiers}; POST a profile with `tiers` to /v1/devices",
        )
    return device.model_copy(update={"placement": list(placement)})


def tier_uses(tape: Tape, device: DeviceProfile) -> list[TierUse]:
    """What each tier of the device holds and moves, in the order of the profile."""
    stored = _stored(tape, device.tiers, device.placement)
    read, written = _touched(tape)
    return [
        _use(tape, tier, stored.of_tier(index), read, written)
        for index, tier in enumerate(device.tiers)
    ]


@dataclass(frozen=True, eq=False)
class _Stored:
    """For each storage: its tier, its bytes there once, how often it is held, and its mask."""

    tier: Ints
    data_bytes: Ints
    copies: Ints
    mask_tier: Ints
    mask_bytes: Ints

    def of_tier(self, tier: int) -> tuple[Ints, Ints, Ints]:
        """Bytes of one copy, bytes of all, and mask bytes among them, for each storage."""
        mask = np.where(self.mask_tier == tier, self.mask_bytes, 0)
        data = np.where(self.tier == tier, self.data_bytes, 0)
        return data + mask, (data + mask) * self.copies, mask * self.copies


def _stored(tape: Tape, tiers: Sequence[MemoryTier], placement: Sequence[Placement]) -> _Stored:
    count = len(tape.storage_bytes)
    elements, is_floating = _elements(tape)
    index_of = {tier.name: index for index, tier in enumerate(tiers)}
    tier = np.full(count, len(tiers) - 1, dtype=np.int64)
    data_bytes = tape.storage_bytes.copy()
    copies = np.ones(count, dtype=np.int64)
    mask_tier = np.full(count, -1, dtype=np.int64)
    mask_bytes = np.zeros(count, dtype=np.int64)
    free = np.ones(count, dtype=bool)
    for rule in placement:
        taken = free & _taken(tape, rule)
        free &= ~taken
        tier[taken] = index_of[rule.tier]
        copies[taken] = rule.copies
        changed = taken & is_floating
        if rule.bits is None and rule.encoding == "dense":
            continue
        kept = nonzero_elements(elements, rule.sparsity)
        item_bits = tape.storage_bytes * 8 // np.maximum(elements, 1)
        bits = item_bits if rule.bits is None else np.full(count, rule.bits)
        data_bytes[changed] = packed_bytes(kept, bits)[changed]
        if rule.encoding == "bitmask":
            mask_tier[changed] = index_of[rule.mask_tier or rule.tier]
            mask_bytes[changed] = packed_bytes(elements, 1)[changed]
    return _Stored(tier, data_bytes, copies, mask_tier, mask_bytes)


def _taken(tape: Tape, rule: Placement) -> NDArray[np.bool_]:
    """The storages that a rule means."""
    taken = np.ones(len(tape.storage_bytes), dtype=bool)
    if rule.categories:
        wanted = [Category[name] for name in rule.categories]
        taken &= np.isin(tape.storage_category, wanted)
    if rule.names:
        fits = [any(fnmatchcase(name, glob) for glob in rule.names) for name in tape.names]
        taken &= np.array([*fits, False])[tape.storage_name]  # -1: no name
    return taken


def _elements(tape: Tape) -> tuple[Ints, NDArray[np.bool_]]:
    """Elements of each storage, and whether they are of a floating-point type.

    A storage has the type of the first tensor that was made of it. Scratch, which no tensor shows,
    has bytes for elements and no type.
    """
    first, tensors = _first_of_each(tape.tensor_storage)
    elements = tape.storage_bytes.copy()
    is_floating = np.zeros(len(elements), dtype=bool)
    items = np.maximum(_tensor_elements(tape), 1)
    item_bytes = np.maximum(tape.tensor_bytes // items, 1)
    elements[first] = tape.storage_bytes[first] // item_bytes[tensors]
    floats = np.array([dtype.startswith(_FLOATING) for dtype, _ in tape.layouts], dtype=bool)
    is_floating[first] = floats[tape.tensor_layout[tensors]] if len(tensors) else False
    return elements, is_floating


def _first_of_each(storages: NDArray[np.int32]) -> tuple[Ints, Ints]:
    found, first = np.unique(storages, return_index=True)
    return found.astype(np.int64), first.astype(np.int64)


def _tensor_elements(tape: Tape) -> Ints:
    sizes = np.array([np.prod(shape, dtype=np.int64) for _, shape in tape.layouts], dtype=np.int64)
    return sizes[tape.tensor_layout] if len(sizes) else np.zeros(0, dtype=np.int64)


def _touched(tape: Tape) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of each storage that the last step reads at least, and that it writes at least."""
    moves = np.isin(tape.op_phase, phases_of_last_step(tape)) & (tape.op_flags & OpFlag.view == 0)
    in_place = tape.op_flags & OpFlag.in_place != 0
    moves &= ~_named(tape, ("empty",)) & ~(in_place & _named(tape, _PARTIAL))
    unbounded = np.full(tape.op_count, np.iinfo(np.int64).max)
    most = np.where(_named(tape, _GATHERS), tape.op_bytes_written, unbounded)
    read = _share(tape, tape.op_inputs, tape.op_inputs_at, moves, most)
    return read, _share(tape, tape.op_outputs, tape.op_outputs_at, moves, unbounded)


def _named(tape: Tape, words: Sequence[str]) -> NDArray[np.bool_]:
    """The ops with one of the words in their names."""
    named = [any(word in name for word in words) for name in tape.names]
    return np.array(named, dtype=bool)[tape.op_name]


def _share(
    tape: Tape, tensors: NDArray[np.int32], offsets: Ints, moves: NDArray[np.bool_], most: Ints
) -> NDArray[np.float64]:
    ops = np.repeat(np.arange(tape.op_count), np.diff(offsets))
    chosen = moves[ops]
    touched = np.zeros(len(tape.storage_bytes), dtype=np.int64)
    sizes = np.minimum(tape.tensor_bytes[tensors], most[ops])
    np.maximum.at(touched, tape.tensor_storage[tensors[chosen]], sizes[chosen])
    whole = np.maximum(tape.storage_bytes, 1)
    return np.minimum(touched, whole) / whole


def _use(
    tape: Tape,
    tier: MemoryTier,
    stored: tuple[Ints, Ints, Ints],
    read: NDArray[np.float64],
    written: NDArray[np.float64],
) -> TierUse:
    once, held, masks = stored
    dead = tape.events < 0
    storages = np.where(dead, ~tape.events, tape.events)
    live = np.cumsum(np.where(dead, -held[storages], held[storages]))
    peak = int(np.argmax(live))
    alive = tape.alive_at(peak)
    totals = np.bincount(tape.storage_category[alive], held[alive], len(Category))
    bytes_read, bytes_written = (int(np.ceil(once * share).sum()) for share in (read, written))
    peak_bytes = int(live[peak])
    return TierUse(
        name=tier.name,
        capacity_bytes=tier.capacity_bytes,
        peak_bytes=peak_bytes,
        peak_phase=phase_at(tape, peak),
        fits=None if tier.capacity_bytes is None else peak_bytes <= tier.capacity_bytes,
        at_peak=Categories(**{each.name: int(totals[each]) for each in Category}),
        mask_bytes=int(masks[alive].sum()),
        read_bytes=bytes_read,
        written_bytes=bytes_written,
        seconds=_slower(
            _quotient(bytes_read, tier.read_bandwidth_bytes_per_s),
            _quotient(bytes_written, tier.write_bandwidth_bytes_per_s),
        ),
        joules=_energy(tier, bytes_read, bytes_written),
    )


def _quotient(count: int, rate: float | None) -> float | None:
    if count == 0:
        return 0.0
    return None if rate is None else count / rate


def _slower(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else max(first, second)


def _energy(tier: MemoryTier, bytes_read: int, bytes_written: int) -> float | None:
    if tier.read_joules_per_byte is None or tier.write_joules_per_byte is None:
        return None
    return bytes_read * tier.read_joules_per_byte + bytes_written * tier.write_joules_per_byte
