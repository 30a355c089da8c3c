"""The client for ordinary programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx2

from headroom_client import flows
from headroom_client.connection import (
    Body,
    Connection,
    answer_of,
    arguments,
    id_of,
    json_of,
    no_answer,
    path_of,
)
from headroom_client.events import EventStream
from headroom_client.flows import Answer, Call, Flow, Json, OnProgress, Pause
from headroom_client.resources import (
    DesignSearch,
    Event,
    Page,
    Plan,
    Resource,
    Run,
    Simulation,
    Sweep,
    Worker,
)

T = TypeVar("T", bound=Resource)


class Client:
    """A Headroom service, from a program without an event loop.

    Every method raises `ServiceError` for a problem that the service answers with, and `NotReached`
    where nothing answers. Calls are repeated while the service is away or overloaded; a POST is
    safe to repeat, since each has an idempotency key.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 5,
        http: httpx2.Client | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: of the service; default: the variable HEADROOM_SERVER, else http://127.0.0.1:8000.
            key: API key; default: the variable HEADROOM_API_KEY.
            timeout: seconds that an answer may take, beyond what the service was asked to wait.
            retries: how often a call is repeated while the service is away or overloaded.
            http: an HTTP client of your own, with proxies or certificates.
        """
        connection = Connection(url, key, timeout, retries)
        self._retries = retries
        self._http = http or httpx2.Client(**connection.options())

    def simulate(
        self,
        request: Body,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Simulation:
        """Predict the memory of a model and a workload.

        Args:
            request: the body of `POST /v1/simulations`, as a mapping or a
                `planner.request.SimulationRequest`.
            wait: seconds to wait for the end; None: until it ends. What has not ended by then is
                returned as it is.
            on_progress: called with the resource while it is not done.

        Raises:
            JobFailed: it failed or was cancelled.
        """
        flow = self._submit("/v1/simulations", request, wait, on_progress)
        return Simulation.model_validate(self.follow(flow))

    def plan(
        self,
        request: Body,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Plan:
        """Find the cheapest strategy that fits a budget; arguments and errors as of `simulate`."""
        flow = self._submit("/v1/plans", request, wait, on_progress)
        return Plan.model_validate(self.follow(flow))

    def run(
        self,
        of: Simulation | Plan | str,
        labels: Mapping[str, str] | None = None,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Run:
        """Run a simulation's or a plan's request for real on a worker with the labels.

        A run that is out of memory is an answer: its `status` says so. `of` may be an id.
        """
        name = "plan_id" if id_of(of).startswith("plan_") else "simulation_id"
        body: Json = {name: id_of(of), **({"labels": dict(labels)} if labels else {})}
        flow = self._submit("/v1/runs", body, wait, on_progress)
        return Run.model_validate(self.follow(flow))

    def report(
        self,
        of: Simulation | Plan | str,
        measured: Mapping[str, Any],
        environment: Mapping[str, Any] | None = None,
    ) -> Run:
        """Store what one's own script measured as a run; `measured` has at least `peak_bytes`."""
        name = "plan_id" if id_of(of).startswith("plan_") else "simulation_id"
        body: Json = {name: id_of(of), "measured": dict(measured)}
        if environment is not None:
            body["environment"] = dict(environment)
        return Run.model_validate(self.follow(self._submit("/v1/runs", body, None, None)))

    def sweep(
        self,
        request: Body,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Sweep:
        """Predict every combination of the values in `vary`; as `simulate`."""
        flow = self._submit("/v1/sweeps", request, wait, on_progress)
        return Sweep.model_validate(self.follow(flow))

    def search_designs(
        self,
        request: Body,
        *,
        wait: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> DesignSearch:
        """Find the best of many designs; as `simulate`. That none is feasible is an answer."""
        flow = self._submit("/v1/design-searches", request, wait, on_progress)
        return DesignSearch.model_validate(self.follow(flow))

    def get_simulation(self, simulation_id: str) -> Simulation:
        """One simulation."""
        return Simulation.model_validate(self.call("GET", path_of(simulation_id)))

    def get_plan(self, plan_id: str) -> Plan:
        """One plan."""
        return Plan.model_validate(self.call("GET", path_of(plan_id)))

    def get_run(self, run_id: str) -> Run:
        """One run."""
        return Run.model_validate(self.call("GET", path_of(run_id)))

    def get_sweep(self, sweep_id: str) -> Sweep:
        """One sweep with its points."""
        return Sweep.model_validate(self.call("GET", path_of(sweep_id)))

    def get_design_search(self, search_id: str) -> DesignSearch:
        """One design search."""
        return DesignSearch.model_validate(self.call("GET", path_of(search_id)))

    def list_simulations(self, **filters: Any) -> Iterator[Simulation]:
        """Stored simulations, newest first; filters are the query parameters of the API."""
        return self._pages(Simulation, "/v1/simulations", filters)

    def list_plans(self, **filters: Any) -> Iterator[Plan]:
        """Stored plans, newest first."""
        return self._pages(Plan, "/v1/plans", filters)

    def list_runs(self, **filters: Any) -> Iterator[Run]:
        """Stored runs, newest first."""
        return self._pages(Run, "/v1/runs", filters)

    def list_sweeps(self, **filters: Any) -> Iterator[Sweep]:
        """Stored sweeps without their points, newest first."""
        return self._pages(Sweep, "/v1/sweeps", filters)

    def list_design_searches(self, **filters: Any) -> Iterator[DesignSearch]:
        """Stored design searches, newest first."""
        return self._pages(DesignSearch, "/v1/design-searches", filters)

    def delete(self, resource_id: str) -> Json | None:
        """Cancel what is unfinished and return it as it is then; delete what is finished."""
        cancelled: Json | None = self.call("DELETE", path_of(resource_id))
        return cancelled

    def share(self, resource_id: str, shared: bool = True) -> Json:
        """Let everybody see a simulation, plan, run, sweep or design search, or no longer."""
        return dict(self.call("PATCH", path_of(resource_id), body={"shared": shared}))

    def share_device(self, name: str, shared: bool = True) -> Json:
        """Let everybody use a posted device profile, or no longer."""
        path = f"/v1/devices/{quote(name, safe='')}"
        return dict(self.call("PATCH", path, body={"shared": shared}))

    def timeline(self, resource_id: str, max_points: int = 2_000) -> Json:
        """Live bytes over the workload of a simulation, plan or run."""
        path = f"{path_of(resource_id)}/timeline"
        return dict(self.call("GET", path, parameters={"max_points": max_points}))

    def peak(self, resource_id: str, max_tensors: int = 100) -> Json:
        """What is alive at the peak of a simulation or a plan, by module and tensor."""
        path = f"{path_of(resource_id)}/peak"
        return dict(self.call("GET", path, parameters={"max_tensors": max_tensors}))

    def graph(self, resource_id: str, depth: int | None = None) -> Json:
        """The computation graph, as `networkx.node_link_graph` reads it."""
        parameters = {} if depth is None else {"depth": depth}
        path = f"{path_of(resource_id)}/graph"
        return dict(self.call("GET", path, parameters=parameters))

    def export(self, resource_id: str, format: str, **parameters: Any) -> bytes:
        """A file for other tools; the API's documentation names the formats."""
        path = f"{path_of(resource_id)}/export"
        call = Call("GET", path, parameters={"format": format, **parameters}, raw=True)
        return bytes(self.follow(flows.request(call, self._retries)))

    def devices(self) -> list[Json]:
        """All device profiles."""
        return list((self.call("GET", "/v1/devices"))["items"])

    def device(self, name: str) -> Json:
        """One device profile."""
        return dict(self.call("GET", f"/v1/devices/{quote(name, safe='')}"))

    def create_device(self, profile: Body) -> Json:
        """Add a device profile. It can be neither changed nor deleted."""
        return dict(self.call("POST", "/v1/devices", body=json_of(profile)))

    def workers(self) -> list[Worker]:
        """Workers that are attached, or were."""
        found = self.call("GET", "/v1/workers")
        return [Worker.model_validate(item) for item in found["items"]]

    def models(self) -> Json:
        """Presets, tasks, model types and kinds of blocks."""
        return dict(self.call("GET", "/v1/models"))

    def techniques(self) -> list[Json]:
        """What a strategy can contain."""
        return list((self.call("GET", "/v1/techniques"))["items"])

    def events(
        self, *, kind: str | None = None, resource_id: str | None = None, after: str | None = None
    ) -> Iterator[Event]:
        """Every change of state from now on, or after the event of an id, without end.

        A connection that breaks is made again, and nothing is missed or repeated.
        """
        stream = EventStream(kind, resource_id, after, self._retries)
        while True:
            try:
                with self._http.stream("GET", "/v1/events", **stream.arguments()) as response:
                    if response.is_error:
                        response.read()
                        stream.refused(answer_of(response, Call("GET", "/v1/events")))
                    for line in response.iter_lines():
                        if (event := stream.feed(line)) is not None:
                            yield event
            except httpx2.TransportError as error:
                stream.broke(no_answer(self._http.base_url, error))
            time.sleep(stream.pause())

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Any:
        """The JSON of any call of the API, repeated where that is safe."""
        asked = Call(method, path, body, parameters or {})
        retries = self._retries if method in ("GET", "HEAD", "DELETE") else 0
        return self.follow(flows.request(asked, retries))

    def follow(self, flow: Flow) -> Any:
        """Carry a flow out to its end and return what it returns."""
        answer: Answer | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._send(step)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, call: Call) -> Answer:
        try:
            return answer_of(self._http.request(**arguments(call)), call)
        except httpx2.TransportError as error:
            return no_answer(self._http.base_url, error)

    def _submit(
        self, path: str, body: Body, wait: float | None, on_progress: OnProgress | None
    ) -> Flow:
        return flows.succeeded(
            flows.submit(path, json_of(body), self._retries, wait=wait, on_progress=on_progress)
        )

    def _pages(self, kind: type[T], path: str, filters: Mapping[str, Any]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            found = self.follow(flows.listing(path, self._retries, cursor, **filters))
            page = Page[kind].model_validate(found)  # type: ignore[valid-type]
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return
