"""Device profiles: what a device holds and how fast it is."""

from planner.devices.catalogue import BUILTIN, profile_of_driver
from planner.devices.profile import ByteRange, Calibration, DeviceProfile, Mode
from planner.devices.support import builtin_device, check_profile

__all__ = [
    "BUILTIN",
    "ByteRange",
    "Calibration",
    "DeviceProfile",
    "Mode",
    "builtin_device",
    "check_profile",
    "profile_of_driver",
]
