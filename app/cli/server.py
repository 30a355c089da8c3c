"""A Headroom service as the commands see it, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2

from app.cli.errors import CliError
from headroom_client import Client, NotReached, ServiceError, flows
from headroom_client.flows import Call, Flow

Resource = dict[str, Any]
OnProgress = Callable[[Resource], None]

_SHORT_WAIT_S = 1.0  # where progress is worth seeing early
_RETRIES = 1  # a person sees at once that nothing answers, and can call again


class Server:
    """Calls of one service. Every method raises `CliError` for what a person should be told."""

    def __init__(self, url: str, http: httpx2.Client | None = None) -> None:
        self.url = url.rstrip("/")
        try:
            self._client = Client(self.url, retries=_RETRIES, http=http)
        except httpx2.InvalidURL as error:
            raise CliError(f"{self.url} is no address of a service: {error}") from None

    def simulate(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a simulation and wait until it has ended, however it has."""
        return self._submit("/v1/simulations", body, on_progress)

    def plan(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a plan and wait until it has ended; what is found comes with the progress."""
        return self._submit("/v1/plans", body, on_progress, first_wait=_SHORT_WAIT_S)

    def sweep(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a sweep and wait until all of it has ended."""
        return self._submit("/v1/sweeps", body, on_progress, first_wait=_SHORT_WAIT_S)

    def search_designs(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a design search and wait until it has ended; its progress has the best so far."""
        return self._submit("/v1/design-searches", body, on_progress, first_wait=_SHORT_WAIT_S)

    def run(self, simulation_id: str, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        """Run a stored simulation for real and wait until the run has ended, however it has."""
        return self._run({"simulation_id": simulation_id}, labels, on_progress)

    def run_plan(self, plan_id: str, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        """Run a stored plan for real and wait until the run has ended, however it has."""
        return self._run({"plan_id": plan_id}, labels, on_progress)

    def run_request(
        self, body: Resource, labels: dict[str, str], on_progress: OnProgress
    ) -> Resource:
        """Simulate a request and then run it; the simulation itself if that has not succeeded."""
        simulation = self.simulate(body, on_progress)
        if simulation["status"] != "succeeded":
            return simulation
        return self.run(simulation["id"], labels, on_progress)

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON at a path."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._follow(flows.request(Call("GET", path, parameters=given), _RETRIES))

    def device(self, name: str) -> Resource | None:
        """The device profile of this name, if the service knows it."""
        devices: list[Resource] = self.get("/v1/devices")["items"]
        return next((device for device in devices if device["name"] == name), None)

    def ready(self) -> bool:
        """Whether the service answers and says that it can take work."""
        try:
            self._client.follow(flows.request(Call("GET", "/readyz"), retries=0))
        except (NotReached, ServiceError):
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, of: Resource, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        body: Resource = {**of, **({"labels": labels} if labels else {})}
        return self._submit("/v1/runs", body, on_progress)

    def _submit(
        self, path: str, body: Resource, on_progress: OnProgress, **options: float
    ) -> Resource:
        flow = flows.submit(path, body, _RETRIES, on_progress=on_progress, **options)
        ended: Resource = self._follow(flow)
        return ended

    def _follow(self, flow: Flow) -> Any:
        try:
            return self._client.follow(flow)
        except NotReached as error:
            raise CliError(
                f"{error}; start one with `headroom serve`, or name another with --server. "
                "simulate, plan, sweep, design-search, check and run work without one: --local"
            ) from None
        except ServiceError as error:
            raise CliError.from_problem(error.problem, error.status) from None
        except httpx2.HTTPError as error:
            raise CliError(
                f"the service at {self.url} did not answer: {type(error).__name__} {error}"
            ) from None
