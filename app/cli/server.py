"""A Headroom service as the commands see it, over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from app.cli.errors import CliError

Resource = dict[str, Any]
OnProgress = Callable[[Resource], None]

FINAL = frozenset({"succeeded", "failed", "cancelled", "out_of_memory"})
_WAIT_S = 20  # asked of the service in one call; below it, what is done is in the first answer
_SHORT_WAIT_S = 1  # where progress is worth seeing early
_POLL_S = 0.5


class Server:
    """Calls of one service. Every method raises `CliError` for what a person should be told."""

    def __init__(self, url: str, client: httpx2.Client | None = None) -> None:
        self.url = url.rstrip("/")
        self._client = client or httpx2.Client(
            base_url=self.url, timeout=_WAIT_S + 10, headers=_key_header()
        )

    def simulate(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a simulation and wait until it has ended, however it has."""
        return self._finish(self._post("/v1/simulations", body), "/v1/simulations", on_progress)

    def plan(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a plan and wait until it has ended; what is found comes with the progress."""
        plan = self._post("/v1/plans", body, wait_s=_SHORT_WAIT_S)
        return self._finish(plan, "/v1/plans", on_progress)

    def sweep(self, body: Resource, on_progress: OnProgress) -> Resource:
        """POST a sweep and wait until all of it has ended."""
        sweep = self._post("/v1/sweeps", body, wait_s=_SHORT_WAIT_S)
        return self._finish(sweep, "/v1/sweeps", on_progress)

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
        with self._reached():
            answer = self._client.get(
                path, params={k: v for k, v in parameters.items() if v is not None}
            )
        return _content(answer)

    def device(self, name: str) -> Resource | None:
        """The device profile of this name, if the service knows it."""
        devices: list[Resource] = self.get("/v1/devices")["items"]
        return next((device for device in devices if device["name"] == name), None)

    def ready(self) -> bool:
        """Whether the service answers and says that it can take work."""
        try:
            return self._client.get("/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, of: Resource, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        body: Resource = {**of, **({"labels": labels} if labels else {})}
        return self._finish(self._post("/v1/runs", body), "/v1/runs", on_progress)

    def _post(self, path: str, body: Resource, wait_s: int = _WAIT_S) -> Resource:
        with self._reached():
            answer = self._client.post(path, json=body, headers={"Prefer": f"wait={wait_s}"})
        resource: Resource = _content(answer)
        return resource

    def _finish(self, resource: Resource, path: str, on_progress: OnProgress) -> Resource:
        while resource["status"] not in FINAL:
            on_progress(resource)
            time.sleep(_POLL_S)
            resource = self.get(f"{path}/{resource['id']}")
        return resource

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx2.ConnectError as error:
            raise CliError(
                f"no Headroom service at {self.url} ({error}); start one with `headroom serve`, "
                "name another with --server, or work without one with --local"
            ) from None
        except httpx2.HTTPError as error:
            raise CliError(
                f"the service at {self.url} did not answer: {type(error).__name__} {error}"
            ) from None
        except httpx2.InvalidURL as error:
            raise CliError(f"{self.url} is no address of a service: {error}") from None


def _key_header() -> dict[str, str]:
    """From the environment and not an option: command lines are seen by everyone on a machine."""
    key = os.environ.get("HEADROOM_API_KEY")
    return {} if not key else {"Authorization": f"Bearer {key}"}


def _content(answer: httpx2.Response) -> Any:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if answer.is_success and content is not None:
        return content
    if not isinstance(content, dict):
        content = {
            "type": "about:blank",
            "title": f"{answer.status_code} {answer.reason_phrase}",
            "detail": f"{answer.url} answered {answer.status_code} without a problem object; "
            "is it a Headroom service?",
        }
    raise CliError.from_problem(content, answer.status_code)
