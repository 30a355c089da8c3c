"""`headroom demo`: the whole way once, on this machine."""

from __future__ import annotations

import signal
import sys
import time
from typing import Annotated, Any

import typer

from app.cli import render
from app.cli.console import out, progress
from app.cli.embedded import embedded_service
from app.cli.errors import ExitCode
from app.cli.outcome import require_succeeded
from app.cli.server import Server

# GPT-2 small as published (124 M parameters), with a sequence that a laptop trains in a second.
REQUEST: dict[str, Any] = {
    "model": {
        "source": "transformers",
        "task": "text-generation",
        "config": {"model_type": "gpt2"},
    },
    "workload": {
        "mode": "train",
        "batch_size": 1,
        "sequence_length": 128,
        "precision": "fp32",
        "optimizer": {"name": "adamw"},
    },
    "device": "cpu",
}


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the service running until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any free port.")] = 0,
) -> None:
    """Predict the memory of GPT-2's training step, run it for real, and compare.

    Starts a service with one local worker on a temporary folder, asks it, and stops it again.
    Needs no network and about 3 GiB of memory.
    """
    # Ended from outside, the demo still takes its service down with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.FAILURE))
    out.print("Starting a service with one local worker ...")
    with embedded_service(port=port) as server:
        out.print(f"Ready at {server.url}\n")
        _predict_and_prove(server)
        _say_what_next(server.url, keep)
        if keep:
            _wait_for_interrupt()


def _predict_and_prove(server: Server) -> None:
    out.print("[bold]1. Predict[/]: POST /v1/simulations, GPT-2 small, one training step")
    started = time.monotonic()
    with progress("Simulating") as on_progress:
        simulation = server.simulate(REQUEST, on_progress)
    require_succeeded(simulation)
    out.print(f"   {simulation['id']} after {time.monotonic() - started:.1f} s\n")
    out.print(render.prediction(simulation), "")

    out.print("[bold]2. Prove[/]: POST /v1/runs, the same step on real tensors")
    out.print("   Two steps to measure memory, a few more for the time; about a minute ...")
    started = time.monotonic()
    with progress("Running") as on_progress:
        run = server.run(simulation["id"], {}, on_progress)
    require_succeeded(run)
    out.print(f"   {run['id']} after {time.monotonic() - started:.1f} s\n")
    out.print(render.comparison(run), "")


def _say_what_next(url: str, keep: bool) -> None:
    if keep:
        out.print(
            f"The service keeps running: its dashboard is at {url}/, its API is described at "
            f"{url}/docs. Ctrl-C ends it."
        )
        return
    out.print(
        "This service stops now. To keep one running: [bold].venv/bin/headroom serve[/]\n"
        "Its dashboard is then at http://127.0.0.1:8000/, its API is described at "
        "http://127.0.0.1:8000/docs",
        soft_wrap=True,
    )


def _wait_for_interrupt() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        out.print("Stopping.")
