"""Device profiles: what a device holds and how fast it is."""

from planner.devices.profile import BUILTIN, ByteRange, DeviceProfile

__all__ = ["BUILTIN", "ByteRange", "DeviceProfile"]
