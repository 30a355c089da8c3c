"""Devices to simulate."""

from planner.devices import DeviceProfile


def nvidia(architecture="sm_90", multiprocessors=132):
    return DeviceProfile(
        name=architecture.replace("_", ""),
        kind="cuda",
        architecture=architecture,
        multiprocessors=multiprocessors,
        memory_bytes=80 << 30,
    )
