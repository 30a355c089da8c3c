"""`headroom sweep`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from app.cli import render_sweep
from app.cli.axes import varied
from app.cli.backend import (
    DEFAULT_SERVER,
    JsonOption,
    LocalOption,
    PrintOption,
    ServerOption,
    open_backend,
)
from app.cli.console import out, print_json, progress, say_stored
from app.cli.errors import CliError, ExitCode
from app.cli.memory import parse_memory
from app.cli.outcome import fits
from app.cli.request_options import RequestOptions, takes_request
from app.cli.server import OnProgress

VaryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE,...",
        help="What varies, such as batch_size=1,2,4, device=t4,a100-80gb or n_layer=6,12: a field "
        "of the workload, `device`, `checkpointing`, a field of the configuration, or a JSON "
        "pointer into the request; repeatable, for every combination.",
    ),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        help="Bytes that a combination must fit in, such as 24GiB; default: the device's memory.",
        metavar="BYTES",
    ),
]


@takes_request
def sweep(
    request: RequestOptions,
    vary: VaryOption = None,
    memory: MemoryOption = None,
    print_request: PrintOption = False,
    json: JsonOption = False,
    local: LocalOption = False,
    server: ServerOption = DEFAULT_SERVER,
) -> None:
    """Predict the peak memory of many workloads of a model at once.

    ```text
    headroom sweep --model-type gpt2 --vary batch_size=1,2,4,8 --vary sequence_length=256,512
    headroom sweep path/to/model -s 2048 -p bf16 --vary device=rtx-4090,a100-80gb,h100-80gb
    headroom sweep examples/gpt2-train.json --local --vary checkpointing=none,full
    ```

    Ends with 0 when a combination fits, 3 when none does, 2 when the request is wrong and 1 when
    none could be predicted.
    """
    body = request.body()
    body["vary"] = varied(body, vary)
    if print_request:
        print_json(body)
        return
    limit = None if memory is None else parse_memory(memory)
    with closing(open_backend(server, local)) as backend, progress("Sweeping") as on_progress:
        found = backend.sweep(body, _counted(on_progress))
    if json:
        print_json(found)
    else:
        out.print(render_sweep.sweep(found, limit))
        say_stored(found, server)
    predicted = [point for point in found["points"] if point["status"] == "succeeded"]
    if not predicted:
        problem = next((p["problem"] for p in found["points"] if p.get("problem")), None)
        raise CliError("no combination could be predicted", ExitCode.FAILURE, problem)
    if not any(point.get("fits") is not False and fits(point, limit) for point in predicted):
        raise typer.Exit(ExitCode.DOES_NOT_FIT)


def _counted(on_progress: OnProgress) -> OnProgress:
    def tell(sweep: dict[str, Any]) -> None:
        counts = dict(sweep["counts"])
        total = counts.pop("total")
        done = {"done": sum(counts.values()), "total": total}
        on_progress({"status": sweep["status"], "progress": done})

    return tell
