"""The largest batch, the longest sequence or the smallest device that a budget allows.

Each answer is a plan: found, certified, and within the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from planner.check import check_plan
from planner.devices import DeviceProfile
from planner.errors import InvalidRequest
from planner.planning.make import OnProgress
from planner.plans import Budget, Plan, PlanRequest, Solved
from planner.tape import Tape

Make = Callable[[PlanRequest, DeviceProfile, OnProgress], tuple[Plan, Tape]]

MAX_PLANS = 16
"""Plans tried for one answer."""


@dataclass
class _Sizes:
    """Plans by the size that they were made for."""

    make: Callable[[int], tuple[Plan, Tape]]
    found: dict[int, tuple[Plan, Tape]] = field(default_factory=dict)
    refused: int | None = None  # the least size that the model itself does not take

    def fits(self, size: int) -> bool:
        if self.refused is not None and size >= self.refused:
            return False
        try:
            if size not in self.found:
                self.found[size] = self.make(size)
        except InvalidRequest:
            if size == 1:
                raise
            self.refused = size
            return False
        return self.found[size][0].feasible

    def largest(self, start: int) -> tuple[int, int | None]:
        """The largest size that fits and the least that does not, as far as was tried; 0 where
        none fits.
        """
        low, high = 0, None
        size = start
        while (high is None or high - low > 1) and len(self.found) < MAX_PLANS:
            if self.fits(size):
                low = size
            else:
                high = size
            size = self._next(low, high)
        return low, high

    def _next(self, low: int, high: int | None) -> int:
        if high is None:
            return low * 2
        if low == 0:
            return max(1, high // 2)
        guess = self._interpolated(low, high)
        return min(max(guess, low + 1), high - 1)

    def _interpolated(self, low: int, high: int) -> int:
        """Where the peak meets the budget on the line through both ends; else the middle."""
        if high not in self.found:
            return (low + high) // 2
        under, over = self.found[low][0], self.found[high][0]
        least = over.infeasible.smallest_budget_bytes if over.infeasible else 0
        held = under.prediction.peak_bytes if under.prediction else 0
        if least <= held or len(self.found) % 3 == 0:  # a line can be far off: halve now and then
            return (low + high) // 2
        share = (under.budget_bytes - held) / (least - held)
        return low + int(share * (high - low))


def solve_size(
    make: Make, request: PlanRequest, device: DeviceProfile, progress: OnProgress
) -> tuple[Plan, Tape]:
    """The plan for the largest `batch_size` or `sequence_length` that fits.

    Micro-batches are left out where the batch is asked for: they would admit any.
    """
    name = request.solve_for
    assert name in ("batch_size", "sequence_length")
    allowed = request.allowed - ({"micro_batching", "offload"} if name == "batch_size" else set())
    plain = request.model_copy(
        update={"solve_for": None, "frontier_points": 0, "allow": sorted(allowed - {"offload"})}
    )

    def make_size(size: int) -> tuple[Plan, Tape]:
        workload = plain.workload.model_copy(update={name: size})
        sized = check_plan(plain.model_copy(update={"workload": workload}))

        def tell(message: dict[str, Any]) -> None:
            progress(message | {"phase": f"{name} {size}: {message['phase']}"})

        return make(sized, device, tell)

    sizes = _Sizes(make_size)
    best, too_large = sizes.largest(getattr(request.workload, name))
    plan, tape = sizes.found[best or 1]
    if not best:
        return plan, tape
    solved = Solved(field=name, value=best, too_large=too_large)
    return plan.model_copy(update={"solved": solved}), tape


def solve_device(
    make: Make, request: PlanRequest, devices: list[DeviceProfile], progress: OnProgress
) -> tuple[Plan, Tape]:
    """The plan for the device with the least memory on which the step fits.

    Raises:
        InvalidRequest: no profile says how much memory its device has.
    """
    sized = [(each.memory_bytes, each) for each in devices if each.memory_bytes is not None]
    if not sized:
        raise InvalidRequest.at(
            "/solve_for",
            "no profile says how much memory its device has",
            "POST profiles with memory_bytes to /v1/devices",
        )
    plain = request.model_copy(update={"solve_for": None, "frontier_points": 0})
    too_small: str | None = None
    found: tuple[Plan, Tape] | None = None
    for memory, device in sorted(sized, key=lambda pair: (pair[0], pair[1].name)):
        update = {"device": device.name, "budget": Budget(memory=memory)}
        try:
            found = make(plain.model_copy(update=update), device, progress)
        except InvalidRequest:
            if (memory, device) == max(sized, key=lambda pair: (pair[0], pair[1].name)):
                raise
            too_small = device.name  # not even the parameters
            continue
        plan, tape = found
        if plan.feasible:
            solved = Solved(field="device", value=device.name, too_large=too_small)
            return plan.model_copy(update={"solved": solved}), tape
        too_small = device.name
    assert found is not None
    return found
