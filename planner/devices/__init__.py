"""Device profiles: what a device holds and how fast it is."""

from planner.devices.profile import BUILTIN, DeviceProfile

__all__ = ["BUILTIN", "DeviceProfile"]
