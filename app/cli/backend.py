"""Who answers `simulate`, `plan`, `run` and others: a service, or this process (`--local`)."""

from __future__ import annotations

from typing import Annotated, Protocol

import typer

from app.cli.server import OnProgress, Resource, Server

DEFAULT_SERVER = "http://127.0.0.1:8000"

ServerOption = Annotated[
    str,
    typer.Option(envvar="HEADROOM_SERVER", help="Address of a Headroom service.", metavar="URL"),
]
LocalOption = Annotated[
    bool,
    typer.Option("--local", help="Work in this process, without a service; nothing is stored."),
]
PrintOption = Annotated[
    bool,
    typer.Option("--print-request", help="Print the request as JSON, ready to POST, and stop."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the whole answer as JSON instead of tables.")
]


class Backend(Protocol):
    """What the commands need of whoever answers."""

    def simulate(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Predict; the simulation as it ended."""

    def plan(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Find a strategy; the plan as it ended."""

    def sweep(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Predict every combination; the sweep as it ended."""

    def search_designs(self, body: Resource, on_progress: OnProgress) -> Resource:
        """Find the best of many designs; the search as it ended."""

    def run_request(
        self, body: Resource, labels: dict[str, str], on_progress: OnProgress
    ) -> Resource:
        """Predict and run for real; the run as it ended, or the simulation that did not succeed."""

    def run(self, simulation_id: str, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        """Run a stored simulation for real; the run as it ended."""

    def run_plan(self, plan_id: str, labels: dict[str, str], on_progress: OnProgress) -> Resource:
        """Run a stored plan for real; the run as it ended."""

    def device(self, name: str) -> Resource | None:
        """The device profile of this name, if there is one."""

    def close(self) -> None:
        """Let go of what is held."""


def open_backend(server: str, local: bool) -> Backend:
    """The service at an address, or this process."""
    if local:
        from app.cli.local import Local

        return Local()
    return Server(server)
