"""The table itself: one entry for the ops that share a kernel, found by op.

An entry says what the kernel allocates, where that is written, and computes it from one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from planner.devices.profile import DeviceProfile

# How far a source is known to be that of torch 2.13.0. The CUDA sources (.cu, .cpp) are not in the
# package; the headers are.
INSTALLED = "2.13.0: the header that the package installs"
UNDATED = "a copy of main without its commit, whose interfaces are those of 2.13.0's headers"


def main_at(commit: str) -> str:
    """The version of a file of pytorch/pytorch as of a commit of its main branch."""
    return f"main at {commit}"


@dataclass(frozen=True)
class Call:
    """One call of an op on a device, its arguments by the names of the op's schema."""

    func: OpOverload
    arguments: Mapping[str, Any]
    result: Any
    device: DeviceProfile

    @staticmethod
    def bind(func: OpOverload, args: Any, kwargs: Any, result: Any, device: DeviceProfile) -> Call:
        """Give positional, named and default arguments their names."""
        arguments = {a.name: a.default_value for a in func._schema.arguments}
        names = [a.name for a in func._schema.arguments]
        arguments |= dict(zip(names, args, strict=False)) | dict(kwargs)
        return Call(func, arguments, result, device)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def first(self, *names: str) -> Any:
        """The argument that ops of one family call by different names."""
        return next(self.arguments[name] for name in names if name in self.arguments)

    @property
    def multiprocessors(self) -> int:
        """Of the device.

        Raises:
            ValueError: the profile does not tell.
        """
        if self.device.multiprocessors is None:
            raise ValueError(
                f"what {self.func} allocates depends on the number of multiprocessors: "
                f"give `multiprocessors` in the profile of device {self.device.name!r}"
            )
        return self.device.multiprocessors

    @property
    def capability(self) -> tuple[int, int]:
        """(major, minor) of the NVIDIA device.

        Raises:
            ValueError: the profile's architecture is not NVIDIA's.
        """
        capability = self.device.compute_capability
        if capability is None:
            raise ValueError(f"device {self.device.name!r} has no NVIDIA architecture (`sm_90`)")
        return capability


Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """What the kernels behind some ops allocate inside.

    Attributes:
        ops: they share the kernel.
        what: the temporaries, in words.
        formula: the same as `sizes` computes, for the page.
        source: file of pytorch/pytorch and function.
        version: of that file as it was read.
        sizes: bytes of the temporaries alive together at the inner peak of one call.
        limitation: what the formula leaves out or could not be verified; none: nothing known.
    """

    ops: tuple[OpOverload, ...]
    what: str
    formula: str
    source: str
    version: str
    sizes: Callable[[Call], Sizes]
    limitation: str | None = None


TABLE: list[Entry] = []
_BY_OP: dict[OpOverload, Entry] = {}


def entry(
    *ops: OpOverload,
    what: str,
    formula: str,
    source: str,
    version: str,
    limitation: str | None = None,
) -> Callable[[Callable[[Call], Sizes]], Callable[[Call], Sizes]]:
    """Register the decorated function as the sizes of these ops' temporaries."""

    def register(sizes: Callable[[Call], Sizes]) -> Callable[[Call], Sizes]:
        new = Entry(ops, what, formula, source, version, sizes, limitation)
        TABLE.append(new)
        for op in ops:
            assert op not in _BY_OP, f"{op} has two entries"
            _BY_OP[op] = new
        return sizes

    return register


def entry_of(func: OpOverload) -> Entry | None:
    """The entry of an op; none: its kernel's source was not read."""
    return _BY_OP.get(func)


def size_bytes(tensor: Tensor) -> int:
    """Of a dense copy of the tensor."""
    return tensor.numel() * tensor.element_size()


def contiguous(*tensors: Tensor | None) -> Sizes:
    """What `tensor.contiguous()` allocates for each: nothing where it is contiguous already."""
    return tuple(size_bytes(t) for t in tensors if t is not None and not t.is_contiguous())


def heaviest(*phases: Sizes) -> Sizes:
    """Of the sets of temporaries that follow one another, the one of the most bytes."""
    return max(phases, key=sum)


def accumulate_bytes(tensor: Tensor) -> int:
    """sizeof(acc_type<scalar_t, is_cuda=true>): at least fp32 (ATen/AccumulateType.h)."""
    return max(4, tensor.element_size())


def ceil_div(count: int, divisor: int) -> int:
    """Integer division, rounded up."""
    return -(-count // divisor)


def round_up(count: int, multiple: int) -> int:
    """The next multiple."""
    return ceil_div(count, multiple) * multiple


def is_deterministic() -> bool:
    """The process was told to `torch.use_deterministic_algorithms` and not merely to warn."""
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled() and not warns
