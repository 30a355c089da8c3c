"""What can be asked of a device profile, and what a posted one must say."""

from __future__ import annotations

from planner.devices.catalogue import BUILTIN
from planner.devices.profile import DeviceProfile
from planner.errors import FieldProblem, InvalidRequest

# Without one of these the kernels that a CUDA device takes, and their scratch, cannot be told.
_NEEDED_OF_CUDA = {
    "architecture": 'add it, such as "sm_90" (torch.cuda.get_device_capability)',
    "memory_bytes": "add it (torch.cuda.get_device_properties(0).total_memory)",
    "multiprocessors": "add it (torch.cuda.get_device_properties(0).multi_processor_count)",
}


def builtin_device(name: str) -> DeviceProfile:
    """The built-in profile of that name, for a simulation without a service.

    Raises:
        InvalidRequest: there is none.
    """
    if name not in BUILTIN:
        raise InvalidRequest.at(
            "/device",
            f"{name[:60]} is no built-in device",
            f"one of {', '.join(BUILTIN)}; a posted device needs its service",
        )
    return BUILTIN[name]


def check_profile(profile: DeviceProfile) -> DeviceProfile:
    """The profile, if it says what its kind needs and claims no measurements.

    Raises:
        InvalidRequest: names every field that is missing or contradicts another, with a remedy.
    """
    problems = _missing(profile) if profile.kind == "cuda" else _unfit_for_cpu(profile)
    problems += _claimed(profile)
    context = profile.context_bytes
    if context is not None and context.low_bytes > context.high_bytes:
        problems.append(
            FieldProblem(
                "/context_bytes/high_bytes",
                f"is less than low_bytes, {context.low_bytes}",
                "write the larger of the two bounds",
            )
        )
    if problems:
        raise InvalidRequest(problems)
    return profile


def _missing(profile: DeviceProfile) -> list[FieldProblem]:
    return [
        FieldProblem(f"/{field}", "is needed of a device of kind cuda", remedy)
        for field, remedy in _NEEDED_OF_CUDA.items()
        if not getattr(profile, field)
    ]


def _claimed(profile: DeviceProfile) -> list[FieldProblem]:
    detail, remedy = "is what this service measures itself", "leave it out"
    claims = {
        "/calibration": bool(profile.calibration),
        "/context_bytes/measured": profile.context_bytes is not None
        and profile.context_bytes.measured,
    }
    return [FieldProblem(pointer, detail, remedy) for pointer, made in claims.items() if made]


def _unfit_for_cpu(profile: DeviceProfile) -> list[FieldProblem]:
    return [
        FieldProblem(f"/{field}", "is of a GPU, and this is a CPU", 'leave it out, or kind: "cuda"')
        for field in ("architecture", "context_bytes", "allocator")
        if getattr(profile, field) is not None
    ]
