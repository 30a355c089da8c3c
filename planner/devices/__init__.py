"""Device profiles: what a device holds and how fast it is."""

from planner.devices.catalogue import BUILTIN, profile_of_driver
from planner.devices.profile import ByteRange, Calibration, DeviceProfile, Mode
from planner.devices.support import SIMULATED_KINDS, builtin_device, check_profile, check_simulated

__all__ = [
    "BUILTIN",
    "SIMULATED_KINDS",
    "ByteRange",
    "Calibration",
    "DeviceProfile",
    "Mode",
    "builtin_device",
    "check_profile",
    "check_simulated",
    "profile_of_driver",
]
