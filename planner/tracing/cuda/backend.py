"""The simulated CUDA device as torch sees it: a Python backend on the key PrivateUse1.

A CPU build of torch refuses CUDA tensors in backward: the autograd engine asks for CUDA's device
guard and streams. PrivateUse1 is the key that torch leaves to others, and torch has what a backend
written in Python needs (`torch.utils.backend_registration`). Its tensors say that they are on
`gpu:0`; every op on them reaches the tracer's dispatch mode, and none has a kernel.

Registration is for the whole process and cannot be undone, so it waits until a CUDA device is
traced, and the device is available only inside `active`: what asks for an accelerator outside,
such as a trace of the CPU, finds none. The engine starts its thread for the device, which stays
idle, with the next backward of the process: fork before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from planner.devices import DeviceProfile

NAME = "gpu"
DEVICE = torch.device("cpu")  # the simulated device, once it is registered

_profile: DeviceProfile | None = None


def profile() -> DeviceProfile:
    """The device that is being simulated."""
    assert _profile is not None, "no CUDA device is being simulated"
    return _profile


@contextmanager
def active(device: DeviceProfile) -> Iterator[None]:
    """Simulate the device inside: its ops dispatch as on it, and torch finds it available.

    The autograd engine would run the device's part of backward in a thread of its own, where no
    dispatch mode is active; with multithreading off it stays in the calling one
    (torch/csrc/autograd/engine.cpp: `Engine::ready_queue`).
    """
    global _profile
    _register()
    from planner.tracing.cuda.autocast import cache_cleared_with_torchs
    from planner.tracing.cuda.compat import as_on_cuda

    previous, _profile = _profile, device
    lifted = torch._C._only_lift_cpu_tensors()
    # `torch.tensor(data, device=...)` then makes a CPU tensor and copies it by a dispatched op.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with (
            torch.autograd.set_multithreading_enabled(False),
            _exceptions_kept(),
            cache_cleared_with_torchs(),
            as_on_cuda(),
        ):
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        _profile = previous


def is_simulated(device: torch.device) -> bool:
    """Whether it is the simulated device."""
    return device.type == NAME


class _Module:
    """`torch.gpu`: what `torch.cuda` answers of one device."""

    @property
    def _initialized(self) -> bool:
        return _profile is not None

    def is_initialized(self) -> bool:
        return self._initialized

    def is_available(self) -> bool:
        return self._initialized

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def get_device_capability(self, device: Any = None) -> tuple[int, int]:
        return profile().compute_capability or (0, 0)

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16, torch.float32]

    def get_rng_state(self, device: Any = None) -> Tensor:
        """As on CUDA, a byte tensor of the host: seed and offset, 8 bytes each
        (ATen/cuda/CUDAGeneratorImpl.cpp: `CUDAGeneratorImpl::get_state`).
        """
        return torch.zeros(16, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass

    def manual_seed_all(self, seed: int) -> None:
        pass

    def _is_in_bad_fork(self) -> bool:
        return False

    def synchronize(self, device: Any = None) -> None:
        pass

    @contextmanager
    def device(self, device: Any) -> Iterator[None]:
        yield


class _Hook(torch._C._acc.PrivateUse1Hooks):
    def is_available(self) -> bool:
        return _profile is not None

    def has_primary_context(self, index: int) -> bool:
        return _profile is not None

    def is_built(self) -> bool:
        return True


_raised: list[BaseException] = []  # in backward, and not yet in Python again


class _Guard(torch._C._acc.DeviceGuard):
    """The device guard, which survives exceptions in backward.

    While the autograd engine unwinds from one, it resets the stream of the node, and torch's guard
    asks Python for its type there: with the exception still pending the answer would count as
    failed, inside a function that may not throw, and the process would end
    (torch/csrc/acc/Module.cpp: `PythonDeviceGuard::exchangeStream`). So a pending exception is
    taken here and given back by `_exceptions_kept`.
    """

    def type_(self) -> Any:
        try:
            _check_pending()  # any call of `pythonapi` raises an exception that is pending
        except BaseException as error:
            _raised.append(error)
        return torch._C._autograd.DeviceType.PrivateUse1


_check_pending = ctypes.pythonapi.Py_IsInitialized


@contextmanager
def _exceptions_kept() -> Iterator[None]:
    """Raise out of backward what was raised in it, as on other devices."""
    original = torch.autograd.graph._engine_run_backward

    def run_backward(*args: Any, **kwargs: Any) -> Any:
        _raised.clear()
        try:
            return original(*args, **kwargs)
        except SystemError as lost:
            if _raised:
                raise _raised.pop() from None
            raise lost
        finally:
            _raised.clear()

    with (
        patch.object(torch.autograd.graph, "_engine_run_backward", run_backward),
        patch.object(torch.autograd, "_engine_run_backward", run_backward),
    ):
        yield


_libraries: list[Any] = []  # an implementation lives as long as its library


def implementations(key: str, namespace: str = "aten") -> Any:
    """A library of implementations for a dispatch key; keep it."""
    make: Any = torch.library.Library
    return make(namespace, "IMPL", key)


def _register() -> None:
    global DEVICE
    if _libraries:
        return
    # Deferred: they register implementations when they are asked to.
    from planner.tracing.cuda import autocast, composites

    setup: Any = torch.utils.backend_registration._setup_privateuseone_for_python_backend
    setup(NAME, backend_module=_Module(), hook=_Hook(), device_guard=_Guard())
    DEVICE = torch.device(NAME, 0)
    _libraries.extend([*autocast.register(), *composites.register()])
