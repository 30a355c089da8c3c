"""Devices to simulate, and tapes of them before the allocator rounds anything."""

from dataclasses import replace

from planner.devices import DeviceProfile
from planner.step import prepare
from planner.trace import Tracer


def nvidia(architecture="sm_90", multiprocessors=132):
    return DeviceProfile(
        name=architecture.replace("_", ""),
        kind="cuda",
        architecture=architecture,
        multiprocessors=multiprocessors,
        memory_bytes=80 << 30,
    )


def trace_storages(request, device, max_ops=5_000_000):
    """The request's tape with every storage at its own size."""
    tracer = Tracer(device, max_ops)
    tracer.rules = replace(tracer.rules, served=lambda tape: tape)
    with tracer.active():
        job = tracer.build(lambda: prepare(request, tracer.rules.tensor_device))
        return tracer.trace(job, probe=False)
