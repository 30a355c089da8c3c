"""A client of Headroom's HTTP API: typed answers, retries and waiting built in.

    from headroom_client import Client

    with Client("https://headroom.example") as headroom:
        simulation = headroom.simulate({"model": {"source": "preset", "name": "memoryformer"}})
        print(simulation.prediction.peak_bytes)

`AsyncClient` has the same methods as coroutines. Nothing here imports torch.
"""

from headroom_client.asynchronous import AsyncClient
from headroom_client.errors import ClientError, JobFailed, NotReached, ServiceError
from headroom_client.resources import (
    DesignSearch,
    Event,
    Job,
    Page,
    Plan,
    Problem,
    Run,
    Simulation,
    Sweep,
    SweepPoint,
    Worker,
)
from headroom_client.synchronous import Client

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "DesignSearch",
    "Event",
    "Job",
    "JobFailed",
    "NotReached",
    "Page",
    "Plan",
    "Problem",
    "Run",
    "ServiceError",
    "Simulation",
    "Sweep",
    "SweepPoint",
    "Worker",
]
